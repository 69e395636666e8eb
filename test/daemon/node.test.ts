import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseConfig } from '../../daemon/config.js';
import { startNode } from '../../daemon/node.js';
import type { NodeSetting } from '../../daemon/node-contract.js';
import { State } from '../../daemon/state.js';
import { isWell } from '../../daemon/views.js';
import { MeshError } from '../../src/errors.js';

test('a member whose tunnels do not start, by a bug of ours too, is not well and says why', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-node-'));
  const state = State.open(join(folder, 'state'));
  t.teardown(() => {
    state.close();
    rmSync(folder, { recursive: true, force: true });
  });
  const config = parseConfig('', 'weft.toml');
  const broken = {
    ...config,
    get listen(): never {
      throw new RangeError('of no use');
    },
  };
  const log = { debug() {}, info() {}, warn() {}, error() {} } as unknown as NodeSetting['log'];
  const { api } = await startNode({ config: broken, state, log, version: '0' });
  const error = await t.throwsAsync(async () => api.init({ name: 'a' }), { instanceOf: MeshError });
  t.is(error?.code, 'start-failed');
  t.regex(`${error?.message}`, /of no use/);
  const status = await api.status();
  t.false(isWell(status));
  t.like(status.health, [{ code: 'start-failed', severity: 'error' }]);
  t.truthy(status.node);
});
