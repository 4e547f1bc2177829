// What a machine's scripts speak to: the service's /health on 8080, which answers what /stand-in/health says, and a mail
// server on 2525, which writes each letter to /stand-in/mails and takes none while /stand-in/no-mail is there.
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer as http } from 'node:http';
import { createServer as tcp } from 'node:net';

http((request, response) => {
  const state = readFileSync('/stand-in/health', 'utf8').trim();
  if (state === 'busy') return response.writeHead(429).end('{}');
  if (state === 'gone') return request.socket.destroy();
  const findings = state === 'ok' ? [] : [{ check: 'Worker', verdict: 'failed', summary: 'No worker takes work.' }];
  response.writeHead(state === 'ok' ? 200 : 503, { 'content-type': 'application/json' });
  response.end(JSON.stringify({ status: state === 'ok' ? 'healthy' : 'failing', findings }));
}).listen(8080, '127.0.0.1');

tcp((socket) => {
  socket.setEncoding('utf8').on('error', () => {});
  const say = (line) => socket.write(`${line}\r\n`);
  if (existsSync('/stand-in/no-mail')) return socket.end('421 not now\r\n');
  let letter;
  let isSigningIn = false;
  let rest = '';
  say('220 stand-in');
  socket.on('data', (text) => {
    rest += text;
    for (let end = rest.indexOf('\r\n'); end >= 0; end = rest.indexOf('\r\n')) {
      const line = rest.slice(0, end);
      rest = rest.slice(end + 2);
      if (letter !== undefined && line !== '.') letter += `${line}\n`;
      else if (letter !== undefined) {
        appendFileSync('/stand-in/mails', `${letter}=====\n`);
        letter = undefined;
        say('250 taken');
      } else if (/^EHLO/i.test(line)) socket.write('250-stand-in\r\n250 AUTH PLAIN\r\n');
      else if (/^AUTH PLAIN/i.test(line)) {
        isSigningIn = true;
        say('334 ');
      } else if (isSigningIn) {
        isSigningIn = false;
        writeFileSync('/stand-in/auth', Buffer.from(line, 'base64').toString().replaceAll('\0', ' '));
        say('235 in');
      } else if (/^DATA/i.test(line)) {
        letter = '';
        say('354 go on');
      } else if (/^QUIT/i.test(line)) socket.end('221 bye\r\n');
      else say('250 fine');
    }
  });
}).listen(2525, '127.0.0.1', () => writeFileSync('/stand-in/ready', ''));
