// The client for TypeScript: the same steps as steps.py. Its words go to the standard output.
import { IntertieError, intertie, pages, unwrap } from 'intertie';

const url = process.env.INTERTIE_URL;
const client = intertie({ url, token: () => process.env.INTERTIE_SESSION });
const stripe = { provider: 'stripe' };

/** The ids of all customers, `limit` in a part. */
async function records(limit) {
  const query = { stream: 'customers', limit };
  const ids = [];
  for await (const part of pages((after) =>
    unwrap(client.GET('/integrations/{provider}/records', { params: { path: stripe, query: { ...query, after } } })),
  )) {
    ids.push(...part.records.map((record) => record.id));
  }
  return ids;
}

async function refused(call) {
  try {
    await unwrap(call);
  } catch (error) {
    if (!(error instanceof IntertieError)) throw error;
    const { message, fields = [] } = error.problem;
    return [error.status, error.kind, message !== '', fields.map((it) => it.field)];
  }
  return null;
}

/** As Python prints it. */
function print(name, ...values) {
  const text = (value) => {
    if (value === true || value === false) return value ? 'True' : 'False';
    if (typeof value === 'string') return `'${value}'`;
    if (Array.isArray(value)) return `[${value.map(text).join(', ')}]`;
    if (typeof value === 'object') return `{${Object.entries(value).map(([key, it]) => `'${key}': ${text(it)}`).join(', ')}}`;
    return String(value);
  };
  console.log(name, ...values.map((value) => (typeof value === 'string' ? value : text(value))));
}

const at = (provider) => ({ params: { path: { provider } } });
const { integrations } = await unwrap(client.GET('/integrations'));
print('states', Object.fromEntries(integrations.map((it) => [it.provider, it.state])));
const accepted = await unwrap(client.POST('/integrations/{provider}/sync', { ...at('stripe'), body: {} }));
print('sync', accepted.accepted, accepted.type);
while (!(await unwrap(client.GET('/integrations/{provider}', at('stripe')))).integrations[0].last_sync) {
  await new Promise((resolve) => setTimeout(resolve, 100));
}
const [single, whole] = [await records(1), await records(1000)];
print('records', single.length > 2, single.join() === whole.join());
const body = { channel: 'C0GENERAL01', text: 'Hello' };
print('posted', (await unwrap(client.POST('/actions/slack/post_message', { body }))).channel);
const channels = { params: { path: stripe, query: { stream: 'channels' } } };
print('unknown', await refused(client.GET('/integrations/{provider}/records', channels)));
print('missing', await refused(client.GET('/integrations/{provider}/records', at('gmail'))));
print('stranger', await refused(intertie({ url, token: 'a.b.c' }).GET('/integrations')));
const ended = client.POST('/integrations/{provider}/disconnect', { ...at('slack'), body: { keep_records: true } });
print('ended', (await unwrap(ended)).disconnected);
