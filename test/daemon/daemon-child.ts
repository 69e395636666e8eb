import { errorLine } from '../../daemon/error-line.js';
import { resolvePaths } from '../../daemon/paths.js';
import { runDaemon } from '../../daemon/run-daemon.js';
import { serviceManager } from '../../daemon/sd-notify.js';
import { MeshError } from '../../src/errors.js';
import { fakeNode, noNetworkStatus } from './fake-node.js';

/**
 * A real daemon process around a node that only answers: node daemon-child.js STOP, where STOP says how the node stops.
 * STOP_BEFORE: the milliseconds after which it is too late to have stopped, and it exits with 4. By this process's own timers, which a
 * machine that keeps it waiting holds up together, in their order.
 */
const stopping = process.argv[2];
const limit = Number(process.env.STOP_BEFORE ?? 0);
const stopped = new Promise<string>((resolve) =>
  process.on('SIGTERM', (signal) => {
    resolve(signal);
    if (limit > 0) setTimeout(() => process.exit(4), limit);
  }),
);
try {
  const inOrder = await runDaemon({
    paths: resolvePaths({}, process.env, false),
    version: '0.1.0',
    manager: serviceManager(process.env, process.pid),
    pretty: false,
    stopped,
    onReady: async () => {
      if (stopping === 'refuses') throw new MeshError('token-expired', 'the token is of yesterday', 'get another');
    },
    startNode: async ({ state }) => {
      if (stopping === 'unfit') throw new MeshError('no-tun', 'no /dev/net/tun', 'modprobe tun');
      state.write('identity', new Uint8Array(4));
      return {
        api: fakeNode(stopping === 'outside' ? { status: () => noNetworkStatus } : {}),
        stop: async () => {
          process.stdout.write('node stopped\n');
          if (stopping === 'hangs') await new Promise(() => {});
        },
        failed: stopping === 'fails' ? Promise.resolve(new Error('a worker died')) : new Promise(() => {}),
      };
    },
  });
  process.exit(inOrder ? 0 : 3);
} catch (error) {
  process.stderr.write(`weftd: ${errorLine(error)}\n`);
  process.exit(1);
}
