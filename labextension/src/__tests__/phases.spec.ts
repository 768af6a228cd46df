import type { Phase } from '../api';
import {
  canDelete,
  canStart,
  canStop,
  phaseOf,
  servedEntities,
  toneOf
} from '../phases';

describe('phaseOf', () => {
  it('takes what the server tells', () => {
    expect(phaseOf({ name: 'a', live: { phase: 'SCALED_TO_ZERO' } })).toBe(
      'SCALED_TO_ZERO'
    );
  });

  it('takes a phase of a newer server as unknown', () => {
    expect(phaseOf({ name: 'a', live: { phase: 'PAUSED' } })).toBe('UNKNOWN');
    expect(phaseOf({ name: 'a', live: { phase: 'toString' } })).toBe('UNKNOWN');
  });

  it.each<[string, string, Phase]>([
    ['READY', 'NOT_UPDATING', 'READY'],
    ['READY', 'IN_PROGRESS', 'UPDATING'],
    ['READY', 'UPDATE_FAILED', 'UPDATE_FAILED'],
    ['NOT_READY', 'IN_PROGRESS', 'CREATING'],
    ['NOT_READY', 'UPDATE_FAILED', 'FAILED'],
    ['NOT_READY', 'NOT_UPDATING', 'STOPPED']
  ])('derives %s, %s as %s without live figures', (ready, update, phase) => {
    const state = { ready, config_update: update };
    expect(phaseOf({ name: 'a', state })).toBe(phase);
  });

  it('is unknown where nothing is told', () => {
    expect(phaseOf({ name: 'a' })).toBe('UNKNOWN');
  });
});

describe('verbs', () => {
  const table: Array<[Phase, boolean, boolean, boolean]> = [
    // phase, start, stop, delete
    ['CREATING', false, false, true],
    ['READY', false, true, true],
    ['SCALED_TO_ZERO', false, true, true],
    ['STARTING', false, true, true],
    ['UPDATING', false, false, true],
    ['UPDATE_FAILED', false, true, true],
    ['FAILED', true, false, true],
    ['STOPPED', true, false, true],
    ['STOPPING', false, false, true],
    ['DELETING', false, false, false],
    ['CHECKING', false, true, true],
    ['UNKNOWN', false, true, true]
  ];

  it.each(table)('apply to %s', (phase, start, stop, remove) => {
    expect([canStart(phase), canStop(phase), canDelete(phase)]).toEqual([
      start,
      stop,
      remove
    ]);
  });
});

it('draws failure, warning, rest and readiness differently', () => {
  const tones = (
    [
      'FAILED',
      'UPDATE_FAILED',
      'SCALED_TO_ZERO',
      'STOPPED',
      'READY',
      'STARTING'
    ] as Phase[]
  ).map(toneOf);
  expect(new Set(tones).size).toBe(tones.length);
});

it('lists the entities of the pending config after those of the active one', () => {
  const entities = servedEntities({
    name: 'a',
    config: { served_entities: [{ name: 'a-1' }] },
    pending_config: { served_entities: [{ name: 'a-1' }, { name: 'a-2' }] }
  });
  expect(entities.map(({ name }) => name)).toEqual(['a-1', 'a-2']);
});
