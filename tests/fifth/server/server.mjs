// Notebook: a provider from outside this project. A certified OpenID provider, https://github.com/panva/node-oidc-provider,
// with PKCE required, refresh tokens that are good once, and revocation of the whole grant when one is used again.
//
// Prints its port, and ends when its standard input does. Besides the standard's endpoints:
//
// | call | does |
// |---|---|
// | `GET /_admin/events` | grants, refusals and revocations so far, with the tokens issued |
// | `POST /_admin/expire` | the newest access token is not good any more |
import { once } from 'node:events';

import Provider from 'oidc-provider';

const ACCESS_TOKEN_SECONDS = Number(process.env.ACCESS_TOKEN_SECONDS ?? 600);

const notebook = new Provider('https://notebook.example', {
  features: {
    devInteractions: { enabled: true },
    introspection: { enabled: true },
    registration: { enabled: true },
    revocation: { enabled: true },
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  ttl: { AccessToken: ACCESS_TOKEN_SECONDS, Grant: 86400, IdToken: 600, Interaction: 600, RefreshToken: 86400, Session: 600 },
});

const events = [];
notebook.on('grant.success', ({ oidc, body }) =>
  events.push({ event: 'granted', by: oidc.params.grant_type, access: body.access_token, refresh: body.refresh_token }));
notebook.on('grant.error', ({ oidc }, error) =>
  events.push({ event: 'refused', by: oidc.params?.grant_type, reason: error.error_detail ?? error.message }));
notebook.on('grant.revoked', ({ oidc }) => events.push({ event: 'revoked', by: oidc.route }));

notebook.use(async (ctx, next) => {
  switch (`${ctx.method} ${ctx.path}`) {
    case 'GET /_admin/events':
      ctx.body = events;
      break;
    case 'POST /_admin/expire': {
      const newest = events.findLast(({ access }) => access).access;
      await (await notebook.AccessToken.find(newest)).destroy();
      ctx.body = {};
      break;
    }
    default:
      await next();
  }
});

const server = notebook.listen(0, '127.0.0.1');
await once(server, 'listening');
console.log(server.address().port);
process.stdin.resume().on('end', () => process.exit());
