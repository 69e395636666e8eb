import { parseArgs } from 'node:util';
import { adminClient } from '../daemon/admin-client.js';
import { readConfig } from '../daemon/config.js';
import { errorLine } from '../daemon/error-line.js';
import { checkMachine } from '../daemon/kernel/preflight.js';
import { loadDaemon } from '../daemon/load-daemon.js';
import { type Paths, resolvePaths } from '../daemon/paths.js';
import { absenceOf } from '../daemon/reach.js';
import { serviceManager } from '../daemon/sd-notify.js';
import { readSealed } from '../daemon/sealed-file.js';
import { packageVersion } from '../daemon/version.js';
import { MeshError } from '../src/errors.js';
import { welcome } from './welcome.js';

/**
 * npm start: on a machine without a network founds one and runs the daemon; `npm start -- join TOKEN` joins one and
 * runs it; on a member both just run it.
 */
async function main(): Promise<boolean> {
  const { values, positionals } = readArguments();
  const [verb, given, ...more] = positionals;
  if (verb !== undefined && (verb !== 'join' || given === undefined || more.length > 0)) {
    throw new MeshError('usage', `"${verb}" is not understood`, 'use "npm start" or "npm start -- join TOKEN"');
  }
  // From standard input no other user of this machine can read it.
  const token = given === '-' ? readSealed('-') : given;
  const paths = resolvePaths(values, process.env, process.getuid?.() === 0);
  const running = adminClient(paths.socket);
  if (!(await absenceOf(running))) {
    process.stdout.write(`weft: a daemon already runs here\n${await welcome(running, token)}`);
    return true;
  }
  await checkHere(paths);
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, resolve);
  });
  const { runDaemon, startNode, threads } = await loadDaemon();
  return runDaemon({
    paths,
    version: packageVersion(),
    startNode,
    threads,
    manager: serviceManager(process.env, process.pid),
    pretty: process.stderr.isTTY === true,
    stopped,
    onReady: async (api) => {
      if (token !== undefined) process.stderr.write('weft: asking the members the token names, for 30 s at most\n');
      process.stdout.write(await welcome(api, token));
    },
  });
}

function readArguments() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: { config: { type: 'string' }, state: { type: 'string' }, socket: { type: 'string' } },
    });
  } catch (error) {
    const message = (error as Error).message.split('\n')[0]!.replace(/\.$/, '');
    throw new MeshError('usage', message, 'use "npm start" or "npm start -- join TOKEN"');
  }
}

/** Before a network is founded or a token is used for a daemon that cannot run. */
async function checkHere(paths: Paths): Promise<void> {
  const { tun, listen } = readConfig(paths.config, !paths.configNamed);
  try {
    await checkMachine({ device: tun.name, listen });
  } catch (error) {
    if (!(error instanceof MeshError) || error.code !== 'tun-not-permitted' || process.getuid?.() === 0) throw error;
    throw new MeshError(
      'needs-root',
      'making a network device needs root',
      'type the same as root, with sudo before it for instance',
    );
  }
}

/** Workers inside a blocking call would make an ordinary exit hang. */
function die(error: unknown): void {
  process.stderr.write(`weft: ${errorLine(error)}\n`);
  process.kill(process.pid, 'SIGKILL');
}

process.on('uncaughtException', die);
try {
  if (!(await main())) process.kill(process.pid, 'SIGKILL');
  process.exit(0);
} catch (error) {
  process.stderr.write(`weft: ${errorLine(error)}\n`);
  process.exit(1);
}
