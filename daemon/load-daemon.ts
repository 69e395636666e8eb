import { PlaneThreads, usualWorkers } from '../src/tunnel/plane/linux-threads.js';

/**
 * All that a running daemon needs, loaded while the plane's threads start: both take about as long, and together they are most
 * of what passes between the start of the process and its first packet. Do not import those modules beside this.
 */
export async function loadDaemon() {
  const threads = new PlaneThreads(usualWorkers());
  const [{ runDaemon }, { startNode }] = await Promise.all([import('./run-daemon.js'), import('./node.js')]);
  return { threads, runDaemon, startNode };
}
