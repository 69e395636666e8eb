import { spawn } from 'node:child_process';

/**
 * Runs iproute2's `ip` with these arguments and gives what it printed. Rejects with its own words when it fails.
 */
export function runIp(args: readonly string[], input?: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn('ip', args, { stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let complaint = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(out);
      else reject(new Error(`ip ${args.join(' ')}: ${complaint.trim() || `exit ${code}`}`));
    });
    child.stdin.on('error', () => undefined); // it ended before reading all: its exit code tells
    child.stdin.end(input ?? '');
  });
}
