import type { IEndpoint } from '../api';
import { compare } from '../transitions';
import type { Memory, Outcome } from '../transitions';
import { endpoint } from './server';

/** The outcomes that a series of looks at endpoint `a` tells, in order, without those that tell nothing. */
function outcomes(...looks: Array<string | null>): Outcome[] {
  let memory: Memory | null = null;
  const told: Outcome[] = [];
  for (const phase of looks) {
    const endpoints: IEndpoint[] = phase ? [endpoint('a', phase)] : [];
    const step = compare(memory, endpoints);
    memory = step.memory;
    told.push(
      ...step.transitions.map(({ outcome }) => outcome).filter(Boolean)
    );
  }
  return told;
}

describe('compare', () => {
  it.each<[string, Array<string | null>, Outcome[]]>([
    ['the first look', ['READY'], []],
    ['no change', [null, 'READY', 'READY', 'READY'], ['ready']],
    ['a deployment', ['CREATING', 'READY', 'READY'], ['ready']],
    ['a deployment that was over at once', [null, 'READY'], ['ready']],
    ['a deployment that failed', ['CREATING', 'FAILED', 'FAILED'], ['failed']],
    ['an update', ['READY', 'UPDATING', 'READY'], ['ready']],
    [
      'an update that failed',
      ['READY', 'UPDATING', 'UPDATE_FAILED', 'UPDATE_FAILED'],
      ['failed']
    ],
    ['an endpoint that failed before the first look', ['FAILED', 'FAILED'], []],
    ['a repair', ['FAILED', 'UPDATING', 'READY'], ['ready']],
    ['a start', ['STOPPED', 'STARTING', 'READY'], ['ready']],
    ['a start that was over at once', ['STOPPED', 'READY'], ['ready']],
    ['a stop', ['READY', 'STOPPING', 'STOPPED'], []],
    ['a scaling to zero', ['READY', 'SCALED_TO_ZERO'], []],
    ['a wake-up', ['SCALED_TO_ZERO', 'STARTING', 'READY'], []],
    ['a wake-up that was over at once', ['SCALED_TO_ZERO', 'READY'], []],
    ['a restart of the controller', ['READY', 'CHECKING', 'READY'], []],
    [
      'a restart of the controller in a deployment',
      ['CREATING', 'CHECKING', 'READY'],
      ['ready']
    ],
    ['a deletion', ['READY', 'DELETING', null], []]
  ])('tells %s', (_, looks, told) => {
    expect(outcomes(...looks)).toEqual(told);
  });

  it('tells an update that was over between two looks by its version', () => {
    const first = compare(null, [endpoint('a', 'READY')]);
    const config = {
      served_entities: [{ name: 'a-2', entity_name: 'a', entity_version: '2' }]
    };
    const second = compare(first.memory, [endpoint('a', 'READY', { config })]);
    expect(second.transitions.map(({ outcome }) => outcome)).toEqual(['ready']);
  });

  it('tells each change of phase once, with where it came from', () => {
    const first = compare(null, [endpoint('a', 'READY')]);
    const second = compare(first.memory, [endpoint('a', 'STOPPING')]);
    expect(second.transitions).toMatchObject([
      { from: 'READY', to: 'STOPPING', outcome: null }
    ]);
    const third = compare(second.memory, [endpoint('a', 'STOPPING')]);
    expect(third.transitions).toEqual([]);
  });

  it('keeps a deleted endpoint apart from a new one of the same name', () => {
    const first = compare(null, [endpoint('a', 'DELETING', { id: '1' })]);
    const second = compare(first.memory, [
      endpoint('a', 'DELETING', { id: '1' }),
      endpoint('a', 'READY', { id: '2' })
    ]);
    expect(second.transitions).toMatchObject([
      { from: null, to: 'READY', outcome: 'ready' }
    ]);
  });
});
