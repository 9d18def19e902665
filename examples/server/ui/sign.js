'use strict';
// Signs calls of the recording API with TC3-HMAC-SHA256, as an SDK does.

const utf8 = new TextEncoder();
const hex = (buffer) => [...new Uint8Array(buffer)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
const sha256 = async (text) => hex(await crypto.subtle.digest('SHA-256', utf8.encode(text)));

async function hmac(key, text) {
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  const imported = await crypto.subtle.importKey('raw', key, algorithm, false, ['sign']);
  return crypto.subtle.sign('HMAC', imported, utf8.encode(text));
}

async function authorization(key, host, timestamp, body) {
  const date = new Date(timestamp * 1000).toISOString().slice(0, 10);
  const scope = `${date}/trtc/tc3_request`;
  const headers = `content-type:application/json\nhost:${host}\n`;
  const canonical = `POST\n/\n\n${headers}\ncontent-type;host\n${await sha256(body)}`;
  const text = `TC3-HMAC-SHA256\n${timestamp}\n${scope}\n${await sha256(canonical)}`;
  let derived = utf8.encode(`TC3${key.secret}`);
  for (const part of [date, 'trtc', 'tc3_request']) derived = await hmac(derived, part);
  const signature = hex(await hmac(derived, text));
  return `TC3-HMAC-SHA256 Credential=${key.id}/${scope}, SignedHeaders=content-type;host, Signature=${signature}`;
}

// Makes one call; gives the fields of its answer, or throws an Error with code and message.
async function callApi(key, action, request) {
  const body = JSON.stringify(request);
  const timestamp = Math.floor(Date.now() / 1000);
  const response = await fetch('/', {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      'X-TC-Action': action,
      'X-TC-Version': '2019-07-22',
      'X-TC-Timestamp': String(timestamp),
      Authorization: await authorization(key, location.host, timestamp, body),
    },
    body,
  });
  const answer = (await response.json()).Response;
  if (answer.Error) throw new Error(`${answer.Error.Code}: ${answer.Error.Message}`);
  return answer;
}
