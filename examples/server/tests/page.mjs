// The page in a browser: page.mjs HOST:PORT SECRET_ID SECRET_KEY SDK_APP_ID MODULES SHOTS
//
// MODULES is a directory with node_modules/playwright-core, SHOTS one for screenshots. The server runs with --control and
// --storage-override. A task is started, seen, changed and stopped, its result played. Ends with status 1 at what is wrong.
import { createRequire } from 'node:module';
import { mkdirSync } from 'node:fs';
import path from 'node:path';

const [host, id, secret, app, modules, shots] = process.argv.slice(2);
const { chromium } = createRequire(path.join(modules, 'node_modules', 'x.js'))('playwright-core');
mkdirSync(shots, { recursive: true });

const EVIL = '<img src=x onerror="window.evil=1">';
const PATIENCE = 120_000;

function check(what, ok, seen) {
  if (!ok) throw new Error(`${what}: ${JSON.stringify(seen)}`);
  console.log(what);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  headless: true,
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--no-proxy-server', '--autoplay-policy=no-user-gesture-required',
    '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1', '--disable-dev-shm-usage',
  ],
});
try {
  const page = await browser.newPage({ viewport: { width: 1200, height: 900 } });
  page.setDefaultTimeout(PATIENCE);
  const problems = [];
  page.on('pageerror', (error) => problems.push(`error: ${error.message}`));
  page.on('console', (message) => {
    // A refused file or call is told by the page itself.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) problems.push(message.text());
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (!['data:', 'blob:'].includes(url.protocol) && url.host !== host) problems.push(`leaves the server: ${url}`);
  });
  await page.goto(`http://${host}/ui`);
  check('an empty page says so', await page.locator('#none').isVisible());

  // A wrong key is told.
  await page.locator('#new-task > summary').click();
  await page.fill('#secret-id', id);
  await page.fill('#secret-key', 'wrong');
  await page.fill('#app', app);
  await page.fill('#room', '1001');
  await page.selectOption('#mode', '2');
  await page.selectOption('#output', '1');
  await page.click('#create button.primary');
  await page.locator('#create-error').filter({ hasText: 'AuthFailure.SignatureFailure' }).waitFor();
  await page.screenshot({ path: path.join(shots, 'form-1200.png'), fullPage: true });
  console.log('a wrong key is told');

  // Start a mixed task, and put people in.
  await page.fill('#secret-key', secret);
  await page.click('#create button.primary');
  const card = page.locator('.task').first();
  await card.waitFor();
  const is = (name) => card.locator(`[data-is="${name}"]`);
  check('the form is quiet again', await page.locator('#create-error').isHidden());
  await page.locator('#new-task > summary').click();
  for (const user of ['alice', 'bob', EVIL]) {
    await is('join-user').fill(user);
    await is('join').locator('button').click();
    await is('participants').getByText(user, { exact: true }).waitFor();
  }
  await is('status').filter({ hasText: 'recording' }).waitFor();
  const windows = () => is('picture').locator('rect').evaluateAll((all) => all.slice(1).map((rect) => (
    ['x', 'y', 'width', 'height'].map((name) => Number(rect.getAttribute(name))))));
  await page.waitForFunction(() => document.querySelectorAll('figure text').length === 3);
  const grid = await windows();
  check('three windows are drawn, of one size', new Set(grid.map(([, , w, h]) => `${w}x${h}`)).size === 1, grid);
  const names = await is('picture').locator('text').allTextContents();
  check('names are text', names.includes(EVIL) && (await page.evaluate(() => window.evil)) === undefined, names);

  // A participant that cannot be is told where it was tried.
  await is('join-user').fill('alice');
  await is('join').locator('button').click();
  await is('call-error').filter({ hasText: 'already' }).waitFor();
  await is('join-user').fill('');

  // Change the layout: bob has the large window.
  await is('modify-layout').selectOption('1');
  await is('modify-large').fill('bob');
  await is('modify').locator('button').click();
  await page.waitForFunction(() => {
    const [, first] = document.querySelectorAll('figure rect');
    const [text] = document.querySelectorAll('figure text');
    const [, , width] = document.querySelector('figure svg').getAttribute('viewBox').split(' ');
    return first.getAttribute('width') === width && text.textContent === 'bob';
  });
  console.log('the drawing follows the layout');
  await is('participants').locator('li').filter({ hasText: EVIL }).getByRole('button').click();
  await page.waitForFunction(() => document.querySelectorAll('figure text').length === 2);
  console.log('who is taken out leaves the picture');
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector('[data-is="segments"]').textContent));
  await page.screenshot({ path: path.join(shots, 'running-1200.png'), fullPage: true });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: path.join(shots, 'running-390.png'), fullPage: true });
  const width = await page.evaluate(() => document.documentElement.scrollWidth);
  check('nothing is wider than a phone', width <= 390, width);

  // Stop, and play the result.
  await is('stop').click();
  await is('status').filter({ hasText: 'over' }).waitFor();
  check('why it ended is told', (await is('status').textContent()) === 'over, stopped');
  check('nothing was lost or is left', (await is('lost').textContent()) === '0' && (await is('undelivered').textContent()) === '0');
  check('no errors', (await is('errors').locator('li').count()) === 0, await is('errors').allTextContents());
  const rows = is('files').locator('li');
  await rows.nth(1).waitFor();
  check('an MP4 and a playlist are there', (await rows.count()) === 2, await rows.allTextContents());
  await rows.nth(1).getByRole('button', { name: 'Play' }).click();
  await page.waitForFunction(() => {
    const video = document.getElementById('video');
    return video.currentTime > 1 && video.webkitDecodedFrameCount > 5 && video.webkitAudioDecodedByteCount > 1000;
  });
  check('HLS plays, at its size', await page.evaluate(() => document.getElementById('video').videoWidth === 640));
  await page.screenshot({ path: path.join(shots, 'playing-390.png') });
  await page.setViewportSize({ width: 1200, height: 900 });
  await page.screenshot({ path: path.join(shots, 'playing-1200.png') });
  await rows.nth(0).getByRole('button', { name: 'Play' }).click();
  await page.waitForFunction(() => {
    const video = document.getElementById('video');
    return video.currentSrc.endsWith('.mp4') && video.currentTime > 0.5 && video.webkitDecodedFrameCount > 5;
  });
  console.log('MP4 plays');
  const [download] = await Promise.all([
    page.waitForEvent('download'), rows.nth(0).getByRole('link', { name: 'Download' }).click(),
  ]);
  check('and is downloaded under its name', download.suggestedFilename() === `${app}_1001.mp4`, download.suggestedFilename());
  await page.click('#close-player');
  check('the player closes', await page.locator('#player').isHidden());
  check('the page had no errors and stayed with its server', problems.length === 0, problems);
} finally {
  await browser.close();
}
console.log('all well');
