#!/usr/bin/env -S MALLOC_ARENA_MAX=1 node --max-semi-space-size=1 --v8-pool-size=1
import { parseArgs } from 'node:util';
import { errorLine } from '../daemon/error-line.js';
import { loadDaemon } from '../daemon/load-daemon.js';
import { resolvePaths } from '../daemon/paths.js';
import { serviceManager } from '../daemon/sd-notify.js';
import { packageVersion } from '../daemon/version.js';

const usage = `usage: weftd [--config FILE] [--state DIR] [--socket PATH]
       weftd --clean [--config FILE]   take device, addresses and routes away; keys stay
       weftd --version

Runs the node in the foreground. "weft config" prints a configuration file with every key.
`;

function readArguments() {
  return parseArgs({
    options: {
      config: { type: 'string' },
      state: { type: 'string' },
      socket: { type: 'string' },
      clean: { type: 'boolean' },
      version: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  }).values;
}

/**
 * Our own bug: said once, and the process goes at once; workers inside a blocking call would make an ordinary exit
 * hang.
 */
function die(error: unknown): void {
  process.stderr.write(`weftd: ${errorLine(error)}\n`);
  process.kill(process.pid, 'SIGKILL');
}

async function main(): Promise<number> {
  let flags: ReturnType<typeof readArguments>;
  try {
    flags = readArguments();
  } catch (error) {
    process.stderr.write(`weftd: ${(error as Error).message.split('\n')[0]}; see weftd --help\n`);
    return 1;
  }
  if (flags.help) process.stdout.write(usage);
  if (flags.version) process.stdout.write(`${packageVersion()}\n`);
  if (flags.help || flags.version) return 0;
  let threads: Awaited<ReturnType<typeof loadDaemon>>['threads'] | undefined;
  try {
    const paths = resolvePaths(flags, process.env, process.getuid?.() === 0);
    if (flags.clean) {
      const [{ readConfig }, { Host }] = await Promise.all([
        import('../daemon/config.js'),
        import('../daemon/kernel/host.js'),
      ]);
      await new Host(readConfig(paths.config, !paths.configNamed).tun.name).remove();
      return 0;
    }
    process.on('uncaughtException', die);
    const stopped = new Promise<string>((resolve) => {
      for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, resolve);
    });
    const { runDaemon, startNode, ...loaded } = await loadDaemon();
    threads = loaded.threads;
    const inOrder = await runDaemon({
      paths,
      version: packageVersion(),
      startNode,
      threads,
      manager: serviceManager(process.env, process.pid),
      pretty: process.stderr.isTTY === true,
      stopped,
    });
    if (!inOrder) process.kill(process.pid, 'SIGKILL');
    return 0;
  } catch (error) {
    process.stderr.write(`weftd: ${errorLine(error)}\n`);
    await threads?.end();
    return 1;
  }
}

process.exit(await main());
