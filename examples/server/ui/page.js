'use strict';
// Shows the tasks of the server, again every second. What came from outside is put in as text, never as HTML.

const $ = (id) => document.getElementById(id);
const REFRESH = 1000;
const cards = new Map(); // task id -> its element
let state = { tasks: [] };

// ---- texts

const BYTES = ['B', 'kB', 'MB', 'GB', 'TB'];
function bytes(count) {
  let unit = 0;
  while (count >= 1000 && unit < BYTES.length - 1) { count /= 1000; unit += 1; }
  return `${unit ? count.toFixed(1) : count} ${BYTES[unit]}`;
}
function duration(millis) {
  const seconds = Math.round(millis / 1000);
  const two = (number) => String(number).padStart(2, '0');
  return `${Math.floor(seconds / 3600)}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}
const clock = (millis) => new Date(millis).toLocaleTimeString();
const LEFT = {
  0: 'stopped', 1: 'removed', 2: 'room dismissed', 3: 'ended by the server', 4: 'room dismissed by the server',
  99: 'room was empty', 100: 'room timed out', 101: 'displaced by the same robot',
};
const STATUS = { Idle: 'idle', InProgress: 'recording', Exited: 'delivering', Over: 'over' };

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Puts text where it differs: a selection in the page survives.
function put(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function showError(target, error) {
  target.hidden = !error;
  put(target, error ? error.message : '');
}

// ---- calls

function key() {
  const found = { id: $('secret-id').value, secret: $('secret-key').value };
  if (!found.id || !found.secret) {
    $('new-task').open = true;
    $('secret-id').focus();
    throw new Error('Enter the key first, under "Start a task".');
  }
  return found;
}

const roomType = (room) => (/^[0-9]+$/.test(room) ? 1 : 0);

async function create() {
  const room = $('room').value;
  const request = {
    SdkAppId: Number($('app').value), RoomId: room, RoomIdType: roomType(room),
    UserId: $('robot').value, UserSig: $('user-sig').value,
    RecordParams: {
      RecordMode: Number($('mode').value), MaxIdleTime: Number($('idle').value), OutputFormat: Number($('output').value),
    },
    StorageParams: JSON.parse($('storage').value),
  };
  if (request.RecordParams.RecordMode === 2) {
    request.MixTranscodeParams = { VideoParams: { Width: 640, Height: 360, Fps: 15, BitRate: 550000, Gop: 2 } };
    request.MixLayoutParams = { MixLayoutMode: Number($('layout').value) };
  }
  await callApi(key(), 'CreateCloudRecording', request);
}

async function control(task, method, rest, body) {
  const room = encodeURIComponent(task.room);
  const address = `/control/rooms/${task.app}/${room}${rest}?RoomIdType=${task.room_id_type}`;
  const options = { method };
  if (body) {
    options.headers = { 'Content-Type': 'application/json' };
    options.body = JSON.stringify(body);
  }
  const response = await fetch(address, options);
  if (!response.ok) throw new Error((await response.json().catch(() => ({}))).Error || `status ${response.status}`);
}

// Does something by a form or a button, and shows what went wrong in `place`.
async function attempt(place, what) {
  try {
    await what();
    showError(place, null);
  } catch (error) {
    showError(place, error);
  }
  await refresh();
}

// ---- the player

let hls = null;
function stopPlaying() {
  if (hls) hls.destroy();
  hls = null;
  $('video').removeAttribute('src');
  $('video').load();
  $('player').hidden = true;
}
function play(address, title) {
  stopPlaying();
  $('player').hidden = false;
  put($('playing'), title);
  showError($('player-error'), null);
  const video = $('video');
  if (!address.endsWith('.m3u8')) {
    video.src = address;
  } else if (Hls.isSupported()) {
    hls = new Hls({ startPosition: 0 });
    hls.on(Hls.Events.ERROR, (_event, data) => {
      if (data.fatal) showError($('player-error'), new Error(`The player gave up: ${data.details}`));
    });
    hls.loadSource(address);
    hls.attachMedia(video);
  } else {
    video.src = address; // browsers that play HLS themselves
  }
  $('player').scrollIntoView({ behavior: 'smooth', block: 'start' });
  video.play().catch(() => {}); // where it has to be started by hand
}

// ---- a task

const SVG = 'http://www.w3.org/2000/svg';
function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Hues that differ from name to name, and stay.
function hue(name) {
  let sum = 0;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 360;
  return sum;
}

function drawing(picture) {
  const svg = shape('svg', { viewBox: `0 0 ${picture.width} ${picture.height}`, role: 'img' });
  svg.append(shape('title', {}, `The layout now: ${picture.windows.length} windows on ${picture.width}x${picture.height}`));
  svg.append(shape('rect', { width: picture.width, height: picture.height, fill: picture.background }));
  for (const at of picture.windows) {
    const name = at.user ?? '';
    const fill = at.shows === 'video' ? `hsl(${hue(name)} 45% 38%)` : '#3a3f47';
    svg.append(shape('rect', {
      x: at.left, y: at.top, width: at.width, height: at.height, fill, stroke: '#fff', 'stroke-width': picture.width / 320,
    }));
    let label = name + (at.media === 'aux' ? ' (screen)' : '');
    if (at.shows === 'audio') label += ' (sound)';
    if (at.shows === 'absent') label += ' (absent)';
    const size = Math.max(8, Math.min(at.height / 3, picture.height / 14, (1.6 * at.width) / Math.max(label.length, 1)));
    svg.append(shape('text', {
      x: at.left + at.width / 2, y: at.top + at.height / 2, 'font-size': size, fill: '#fff',
      'text-anchor': 'middle', 'dominant-baseline': 'central', 'font-family': 'system-ui, sans-serif',
    }, label));
  }
  return svg;
}

function row(name, details, acts) {
  const item = element('li');
  const what = element('div', undefined, 'what');
  what.append(element('div', name, 'name'), element('small', details));
  const buttons = element('div', undefined, 'acts');
  buttons.append(...acts);
  item.append(what, buttons);
  return item;
}

function button(text, act) {
  const made = element('button', text);
  made.type = 'button';
  made.addEventListener('click', act);
  return made;
}

const fileAddress = (task, name) => `/ui/files/${encodeURIComponent(task)}/${encodeURIComponent(name)}`;
const TRACKS = { audio: 'sound', video: 'pictures', audio_video: 'sound and pictures' };

function fileRow(task, file, isList) {
  const whose = file.user === null ? 'the mixed room' : file.user + (file.media === 'aux' ? ' (screen)' : '');
  const title = `${whose}, ${TRACKS[file.tracks]}`;
  const acts = [];
  if (state.files) {
    const address = fileAddress(task.task, file.name);
    acts.push(button('Play', () => play(address, `${title} — room ${task.room}`)));
    if (!isList) {
      const link = element('a', 'Download');
      link.href = address;
      link.download = file.name;
      acts.push(link);
    }
  }
  return row(title, `${file.name} · ${bytes(file.bytes)}`, acts);
}

// Rebuilds a part only when what it shows has changed: buttons stay under the finger.
function rebuild(part, shown, make) {
  const now = JSON.stringify(shown);
  if (part.dataset.shown === now) return;
  part.dataset.shown = now;
  part.replaceChildren(...make());
}

function newCard(id) {
  const card = $('task').content.firstElementChild.cloneNode(true);
  card.dataset.task = id;
  const is = (name) => card.querySelector(`[data-is="${name}"]`);
  const task = () => state.tasks.find((other) => other.task === id);
  const failed = is('call-error');
  is('stop').addEventListener('click', () => attempt(failed, () => (
    callApi(key(), 'DeleteCloudRecording', { SdkAppId: task().app, TaskId: id }))));
  is('dismiss').addEventListener('click', () => attempt(failed, () => control(task(), 'DELETE', '')));
  is('join').addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(failed, async () => {
      await control(task(), 'POST', '/participants', { UserId: is('join-user').value, Simulate: true });
      is('join-user').value = '';
    });
  });
  is('modify').addEventListener('submit', (event) => {
    event.preventDefault();
    const layout = { MixLayoutMode: Number(is('modify-layout').value) };
    const large = is('modify-large').value;
    if (large && layout.MixLayoutMode !== 3) layout.MaxResolutionUserId = large;
    attempt(failed, () => callApi(key(), 'ModifyCloudRecording', {
      SdkAppId: task().app, TaskId: id, MixLayoutParams: layout,
    }));
  });
  return card;
}

function update(card, task) {
  const is = (name) => card.querySelector(`[data-is="${name}"]`);
  const isRunning = task.status === 'Idle' || task.status === 'InProgress';
  put(is('room'), `Room ${task.room}`);
  const status = is('status');
  status.dataset.status = task.status;
  const why = task.leave_code === null ? '' : `, ${LEFT[task.leave_code] ?? `code ${task.leave_code}`}`;
  put(status, STATUS[task.status] + why);
  const kind = task.is_mixed ? 'mixed' : 'each participant';
  put(is('about'), `${kind} · robot ${task.robot} · application ${task.app} · since ${clock(task.began)} · ${task.task}`);
  put(is('duration'), duration(task.duration));
  put(is('bytes'), bytes(task.bytes));
  put(is('segments'), String(task.segments));
  put(is('lost'), String(task.lost));
  put(is('undelivered'), `${task.undelivered}`);
  put(is('lag'), `${task.lag.toFixed(1)} s`);
  is('lost').classList.toggle('late', task.lost > 0);
  is('lag').classList.toggle('late', task.lag > 10);

  const picture = is('picture');
  picture.hidden = !task.picture;
  if (task.picture) rebuild(picture, task.picture, () => [drawing(task.picture)]);

  const canControl = state.control && isRunning && task.room_id_type !== null;
  is('people').hidden = !isRunning;
  rebuild(is('participants'), [task.participants, canControl], () => {
    if (!task.participants.length) return [element('li', 'nobody', 'note')];
    return task.participants.map((person) => {
      const details = `${person.media === 'aux' ? 'screen, ' : ''}${person.tracks.map((track) => TRACKS[track]).join(' and ')} · ${person.source}`;
      const out = button('Remove', () => attempt(is('call-error'), () => (
        control(task, 'DELETE', `/participants/${encodeURIComponent(person.user)}`))));
      return row(person.user, details, canControl ? [out] : []);
    });
  });
  is('join').hidden = !canControl;
  is('modify').hidden = !(task.is_mixed && isRunning);
  is('ending').hidden = !isRunning;
  is('dismiss').hidden = !canControl;
  rebuild(is('errors'), task.errors, () => task.errors.map((error) => element('li', `${clock(error.at)} ${error.text}`)));
  is('results').hidden = !(task.playlists.length || task.files.length);
  rebuild(is('files'), [task.playlists, task.files, state.files], () => [
    ...task.files.map((file) => fileRow(task, file, false)),
    ...task.playlists.map((file) => fileRow(task, file, true)),
  ]);
}

// ---- all of it

function show() {
  const shown = new Set(state.tasks.map((task) => task.task));
  for (const [id, card] of cards) {
    if (!shown.has(id)) { card.remove(); cards.delete(id); }
  }
  let before = null; // newest first: the list is walked from its end
  for (const task of [...state.tasks].reverse()) {
    let card = cards.get(task.task);
    if (!card) {
      card = newCard(task.task);
      cards.set(task.task, card);
      $('tasks').insertBefore(card, before);
    }
    before = card;
    update(card, task);
  }
  $('none').hidden = state.tasks.length > 0;
  const files = state.files ? '' : ' Files are at the vendors: start the server with --storage-override to play them here.';
  put($('summary'), `${state.running} running, ${state.tasks.length} shown.${files}`);
}

let refreshing = null;
function refresh() {
  refreshing ??= (async () => {
    try {
      const response = await fetch('state');
      if (!response.ok) throw new Error(`status ${response.status}`);
      state = await response.json();
      show();
    } catch (error) {
      put($('summary'), `The server does not answer: ${error.message}`);
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

$('create').addEventListener('submit', (event) => {
  event.preventDefault();
  attempt($('create-error'), create);
});
$('close-player').addEventListener('click', stopPlaying);
$('video').addEventListener('error', () => {
  if ($('video').hasAttribute('src')) showError($('player-error'), new Error('This browser cannot play the file.'));
});
refresh();
setInterval(refresh, REFRESH);
