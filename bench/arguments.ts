import { parseArgs } from 'node:util';

/** What a run of the bench is asked for. */
export interface Order {
  readonly rounds: number;
  readonly seconds: number;
  /** Beginnings of contenders' names; all without it. */
  readonly names: readonly string[] | undefined;
  /** Keys of figures; all without it. */
  readonly figures: ReadonlySet<string> | undefined;
  readonly relays: boolean;
  readonly out: string;
}

/**
 * The order that these words are, `help` when that is asked for, or what is wrong with them, for a person. `contenders`:
 * all names there are; `keys`: of all figures.
 */
export function readOrder(
  words: readonly string[],
  contenders: readonly string[],
  keys: readonly string[],
  out: string,
): Order | 'help' | { readonly wrong: string } {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: {
        rounds: { type: 'string', default: '5' },
        seconds: { type: 'string', default: '2' },
        only: { type: 'string' },
        figures: { type: 'string' },
        'no-relays': { type: 'boolean', default: false },
        out: { type: 'string', default: out },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return 'help';
    const names = values.only?.split(',');
    const figures = values.figures?.split(',');
    for (const name of names ?? [])
      if (name === '' || !contenders.some((contender) => contender.startsWith(name)))
        return { wrong: `--only ${values.only}: no contender's name begins with "${name}"` };
    for (const key of figures ?? [])
      if (!keys.includes(key)) return { wrong: `--figures ${values.figures}: there is no figure "${key}"` };
    for (const name of ['rounds', 'seconds'] as const)
      if (!/^[1-9]\d{0,3}$/.test(values[name]))
        return { wrong: `--${name} ${values[name]}: a whole number from 1 to 9999 is meant` };
    return {
      rounds: Number(values.rounds),
      seconds: Number(values.seconds),
      names,
      figures: figures && new Set(figures),
      relays: !values['no-relays'],
      out: values.out,
    };
  } catch (error) {
    return { wrong: (error as Error).message };
  }
}
