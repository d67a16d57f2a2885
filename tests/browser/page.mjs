// A person at the status page: connects, syncs and disconnects, in Chromium, on a stack of `cargo local --no-story`.
// Leaves screenshots beside itself. Fails on the first thing that does not come, and on anything in the browser's console.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { chromium } from 'playwright-core';

import { application, callFrom } from './adapter.mjs';

const FOLDER = import.meta.dirname;
const STACK = join(FOLDER, 'stack');
// By its prefix, the stack's processes are told from others'.
const PREFIX = `page${randomBytes(4).toString('hex')}`;
const WIDE = { width: 1100, height: 580 };
const NARROW = { width: 380, height: 800 };
const PATIENCE = 20_000;

const app = await application(FOLDER);
const stack = spawn(
  'cargo',
  ['local', '--no-story', '--port', '0', '--directory', STACK, '--parameter-overrides', `Prefix=${PREFIX}`, `AllowedOrigins=${app.origin}`],
  { stdio: ['ignore', 'pipe', 'inherit'] },
);
const ended = once(stack, 'exit');
try {
  await visit(await signedIn());
} finally {
  app.stop();
  stack.kill('SIGINT');
  await ended;
}
assert.equal(stack.exitCode, 0, 'Ctrl-C ends it well');
assert.ok(!existsSync(join(STACK, 'env')), 'the environment file is gone');
assert.deepEqual(processes(), [], 'no process is left');
console.log('  after Ctrl-C nothing is left');

// The link to the page, once the stack is up.
async function signedIn() {
  let link;
  for await (const line of createInterface({ input: stack.stdout })) {
    link = line.match(/^Status page, signed in: (.*)$/)?.[1] ?? link;
    if (line.startsWith('Ctrl-C')) {
      stack.stdout.resume();
      return link;
    }
  }
  throw new Error('cargo local ended before it was up');
}

// Processes that are functions of this stack.
function processes() {
  const marker = `AWS_LAMBDA_FUNCTION_NAME=${PREFIX}-`;
  const environment = (pid) => {
    try {
      return readFileSync(`/proc/${pid}/environ`, 'utf8');
    } catch {
      return ''; // Ended meanwhile, or of another user.
    }
  };
  return readdirSync('/proc').filter((pid) => /^\d+$/.test(pid) && environment(pid).includes(marker));
}

async function visit(link) {
  const browser = await chromium.launch({
    executablePath: '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  try {
    const page = await browser.newPage({ viewport: WIDE, colorScheme: 'light' });
    const complaints = [];
    page.on('console', (message) => complaints.push(`${message.type()}: ${message.text()} (${message.location().url})`));
    page.on('pageerror', (error) => complaints.push(String(error)));
    await play(page, link).catch(async (error) => {
      await page.screenshot({ path: join(FOLDER, 'failed.png'), fullPage: true });
      throw error;
    });
    await callFrom(page, app.origin, STACK);
    assert.deepEqual(complaints, [], "the browser's console");
  } finally {
    await browser.close();
  }
}

async function play(page, link) {
  const card = (name) => page.getByRole('listitem').filter({ has: page.getByRole('heading', { name, exact: true }) });
  const seen = (place, words) => place.getByText(words).first().waitFor({ timeout: PATIENCE });
  const shot = (name) => page.screenshot({ path: join(FOLDER, `${name}.png`), fullPage: true });
  // By day and by night, on a desk and on a telephone; nothing may stick out.
  const variants = async (name) => {
    for (const [colorScheme, viewport] of [['dark', NARROW], ['dark', WIDE], ['light', NARROW], ['light', WIDE]]) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      assert.ok(overflow <= 0, `${name} is ${overflow} px too wide for ${viewport.width}`);
      await shot(`${name}-${colorScheme}-${viewport.width}`);
    }
  };
  const step = (words) => console.log(`  ${words}`);

  await page.goto(link);
  const home = page.url();
  for (const name of ['Slack', 'Stripe', 'Google Calendar', 'Gmail']) {
    await seen(card(name), 'Not connected');
  }
  await variants('1-nothing-connected');
  step('four providers, none connected');

  await card('Slack').getByRole('link', { name: 'Connect' }).click();
  await page.getByRole('button', { name: 'Cancel' }).click();
  await seen(page.getByRole('status'), 'access was not allowed');
  await shot('2-refused');
  step('Slack refused: the notice says so');

  await card('Slack').getByRole('link', { name: 'Connect' }).click();
  await page.getByRole('button', { name: 'Allow' }).click();
  await seen(page.getByRole('status'), 'Slack is connected');
  await seen(card('Slack'), 'Connected');
  await shot('3-connected');
  await reloadUntil(page, card('Slack').getByText('Last synced'));
  step('Slack connected and synced');

  await card('Slack').getByRole('button', { name: 'Sync now' }).click();
  await seen(page.getByRole('status'), 'Slack is being synced');
  step('Sync now was taken');

  await card('Stripe').getByLabel('Key', { exact: true }).fill('rk_test_wrong');
  await card('Stripe').getByRole('button', { name: 'Connect' }).click();
  await seen(card('Stripe').getByRole('alert'), 'does not accept this key');
  const described = await card('Stripe').getByLabel('Key', { exact: true }).getAttribute('aria-describedby');
  assert.equal(await card('Stripe').getByRole('alert').getAttribute('id'), described, 'the field says why');
  await shot('3-wrong-key');
  await page.reload();
  assert.equal(await page.getByRole('alert').count(), 0, 'it is told once');
  step('a wrong key is told at the field, once');
  await card('Stripe').getByLabel('Key', { exact: true }).fill('rk_test_sandbox');
  await card('Stripe').getByRole('button', { name: 'Connect' }).click();
  await seen(page.getByRole('status'), 'Stripe is connected');
  await reloadUntil(page, card('Stripe').getByText('Last synced'));
  step('Stripe connected by its key');
  await page.goto(home);
  await card('Stripe').getByText('Webhooks and key').click();
  await seen(card('Stripe'), /\/webhooks\/stripe\/int_[0-9a-f]{32}/);
  await variants('3-webhooks');
  await card('Stripe').getByLabel('Key', { exact: true }).fill('rk_test_sandbox');
  await card('Stripe').getByLabel('Signing secret').fill('whsec_of_this_account');
  await card('Stripe').getByRole('button', { name: 'Save' }).click();
  await seen(page.getByRole('status'), 'Stripe is connected');
  step('its own webhook secret stored');

  await page.goto(home);
  await variants('4-two-connected');

  await card('Slack').getByRole('link', { name: 'Connect another Slack account' }).waitFor();
  await card('Slack').getByText('Disconnect', { exact: true }).click();
  await seen(card('Slack'), 'what was synced from it is deleted here');
  await variants('5-asks');
  await card('Slack').getByRole('button', { name: /^Disconnect / }).click();
  await seen(page.getByRole('status'), 'Slack is disconnected');
  await card('Slack').getByRole('link', { name: /^Reconnect Acme/ }).waitFor();
  await page.goto(`${home}?success=gmail&error=connect_failed&disconnected=stripe`);
  assert.equal(await page.getByRole('status').count(), 0, 'the address makes the page say nothing');
  await seen(card('Slack'), 'Disconnected');
  await shot('5-disconnected');
  step('Slack disconnected');
}

// A sync ends when it ends; the page shows it when it is asked again.
async function reloadUntil(page, there) {
  const end = Date.now() + PATIENCE;
  while ((await there.count()) === 0) {
    assert.ok(Date.now() < end, `${there} did not come`);
    await page.reload();
  }
}
