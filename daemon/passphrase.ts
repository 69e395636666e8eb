import { readFileSync } from 'node:fs';
import { MeshError } from '../src/errors.js';

/**
 * A passphrase from the first line of `file`, or typed at the terminal without being shown (twice, when it seals something).
 * Never from the command line, where every user of the machine could read it.
 */
export async function readPassphrase(file: string | undefined, again: boolean): Promise<string> {
  const passphrase = file === undefined ? await typed('Passphrase: ') : firstLine(file);
  if (passphrase === '') throw new MeshError('passphrase-empty', 'the passphrase is empty', 'choose a long one');
  if (file === undefined && again && (await typed('The same again: ')) !== passphrase) {
    throw new MeshError('passphrase-differs', 'the two passphrases differ', 'try again');
  }
  return passphrase;
}

function firstLine(file: string): string {
  try {
    return readFileSync(file, 'utf8').split(/\r?\n/)[0]!;
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw new MeshError('passphrase-unreadable', `cannot read ${file} (${code})`, 'check its path and permissions', {
      cause,
    });
  }
}

function typed(question: string): Promise<string> {
  const { stdin, stderr } = process;
  if (!stdin.isTTY) {
    const cure = 'put it into a file that only you can read, and name that with --passphrase-file';
    return Promise.reject(new MeshError('no-terminal', 'there is no terminal to ask for a passphrase', cure));
  }
  stderr.write(question);
  stdin.setRawMode(true);
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    let text = '';
    const finish = (settle: () => void) => {
      stdin.off('data', onData);
      stdin.setRawMode(false);
      stdin.pause();
      stderr.write('\n');
      settle();
    };
    const onData = (chunk: string) => {
      for (const character of chunk) {
        if (character === '\r' || character === '\n') return finish(() => resolve(text));
        if (character === '\u0003' || character === '\u0004') {
          return finish(() => reject(new MeshError('cancelled', 'cancelled', 'nothing was changed')));
        }
        text = character === '\u007f' || character === '\b' ? text.slice(0, -1) : text + character;
      }
    };
    stdin.on('data', onData);
    stdin.resume();
  });
}
