import { describe, expect, it } from 'vitest';
import { parseDotenv } from '../../src/config/dotenv.ts';
import { describeConfigFinding } from '../../src/config/problems.ts';

describe('a line of .env', () => {
  it.each([
    ['SMTP_PASSWORD=pa$word', 'pa$word'],
    ['SMTP_PASSWORD=pa ss word', 'pa ss word'],
    ['SMTP_PASSWORD=pa"ss\'w`ord\\n', 'pa"ss\'w`ord\\n'],
    ["SMTP_PASSWORD='  #1 $(x) \x24{Y} \\n \" '", '  #1 $(x) \x24{Y} \\n " '],
    ['SMTP_PASSWORD="pa\\"ss word"', 'pa"ss word'],
    ['SMTP_PASSWORD="a\\\\b" # comment', 'a\\b'],
    ['SMTP_PASSWORD="\\\\"', '\\'],
    ['SMTP_PASSWORD=`a"b\'c`', 'a"b\'c'],
    ['SMTP_PASSWORD="it\'s # 1"', "it's # 1"],
    ['SMTP_PASSWORD=hunter2   # the mail server', 'hunter2'],
    ['  export SMTP_PASSWORD = x \t', 'x'],
    ['SMTP_PASSWORD=""', ''],
    ['SLACK_WEBHOOK_URL=   # none yet', ''],
    ['SSH_HOST=pve #here', 'pve'],
    ['MAIL_FROM=Proxmox MCP <a@b>', 'Proxmox MCP <a@b>'],
    ['\uFEFFSSH_HOST=pve\r', 'pve'],
  ])('%j is read whole', (line, text) => {
    const { settings, problems } = parseDotenv(line, '.env');
    expect(problems).toEqual([]);
    expect(settings.map((one) => one.text)).toEqual([text]);
  });

  it.each([
    ['SMTP_PASSWORD="pa"ss word"', 'nothing but a comment after the closing quotation mark'],
    ['X="abc"def', 'nothing but a comment after'],
    ['X="abc"#def', 'nothing but a comment after'],
    ["SMTP_PASSWORD='it's'", 'nothing but a comment after'],
    ["SMTP_PASSWORD='it\\'s'", 'nothing but a comment after'],
    ['SMTP_PASSWORD="abc', 'quotation mark is closed'],
    ['SMTP_PASSWORD="abc\\"', 'quotation mark is closed'],
    ['SMTP_PASSWORD="a\\ss"', 'only \\"'],
    ['SMTP_PASSWORD="\\\\\\x"', 'only \\"'],
    ['SMTP_PASSWORD=abc#def', '# is quoted'],
    ['SMTP_PASSWORD=#abc', '# is quoted'],
    ['SMTP_PASSWORD=abc #def', '# is quoted'],
    ['SMTP_PASSWORD=abc def # ghi', '# is quoted'],
    ['SMTP_PASSWORD=abc"d # e"', '# is quoted'],
    ['SMTP_PASSWORD=“abc”', 'straight quotation marks'],
    ['SMTP_PASSWORD=\x24{PW}', 'nothing is expanded'],
    ['SMTP_PASSWORD="$(cat pw)"', 'nothing is expanded'],
    ['SSH_HOST: pve', 'KEY=value'],
  ])('%j is refused, with its line and without its value', (line, expected) => {
    const { settings, problems } = parseDotenv(`# top\n${line}\nSSH_HOST=pve\n`, '.env');
    expect(settings.map(({ key }) => key)).toEqual(['SSH_HOST']);
    expect(problems).toHaveLength(1);
    const message = problems.map(describeConfigFinding).join();
    expect(message).toContain('(.env:2)');
    expect(message).toContain(expected);
    expect(message).not.toMatch(/abc|def|word/);
  });

  it('names the first of a doubled key, also where that one was wrong', () => {
    const { settings, problems } = parseDotenv('A="x"y\nB=1\nA=2\nB=3', '.env');
    expect(settings).toEqual([{ key: 'B', source: '.env:2', text: '1' }]);
    expect(problems.map(({ check, summary }) => `${check} ${summary}`)).toEqual([
      'A (.env:1) expected nothing but a comment after the closing quotation mark.',
      'A (.env:3) expected one line for it (.env:1 has it too).',
      'B (.env:4) expected one line for it (.env:2 has it too).',
    ]);
  });
});
