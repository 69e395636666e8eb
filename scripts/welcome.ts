import type { NodeApi } from '../daemon/api.js';
import { MeshError } from '../src/errors.js';

/** From a clone, where no `weft` is on the path. */
const weft = 'npx weft';

/**
 * Brings a node that has no network into one, the token's or its own new one, and tells in a few lines what there is now
 * and what to type next. A member stays what it is. Throws MeshError when founding or joining fails.
 */
export async function welcome(api: NodeApi, token: string | undefined): Promise<string> {
  const before = await api.status();
  const unused = before.node && token !== undefined ? await whyUnused(api, token) : [];
  const founded = !before.node && token === undefined;
  const { node, network } =
    before.node && before.network
      ? { node: before.node, network: before.network }
      : token === undefined
        ? await api.init({})
        : await api.join({ token });
  const lines = [
    ...unused,
    `weft: this machine is ${node.name} in network ${network.id}`,
    '',
    `  its address        ${node.address}`,
    `  how it is          ${weft} status`,
    ...(await admission(api)),
    ...(founded ? [`  keep a copy        ${weft} network-key export FILE   (then store FILE elsewhere)`] : []),
    '',
    'Ctrl-C stops it; the address stays with this machine.',
  ];
  return `${lines.join('\n')}\n`;
}

/**
 * A token on a machine that is a member: of the same network, all is well; else it is said that the token was not used.
 */
async function whyUnused(api: NodeApi, token: string): Promise<string[]> {
  try {
    await api.join({ token });
    return [];
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return error.code === 'already-member' ? [] : [`weft: the token was not used: ${error.message}; ${error.cure}`];
  }
}

async function admission(api: NodeApi): Promise<string[]> {
  try {
    const { token, expires, warning } = await api.invite({});
    return [
      `  another machine    npm start -- join ${token}`,
      `                     good once, until ${expires}`,
      ...(warning === null ? [] : [`                     ${warning}`]),
    ];
  } catch (error) {
    if (!(error instanceof MeshError)) throw error;
    return [`  another machine    no token from here: ${error.message}; ${error.cure}`];
  }
}
