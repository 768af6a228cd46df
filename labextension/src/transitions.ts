/**
 * Which changes between two looks at the endpoints are worth telling: pure, one look after the other.
 */

import type { IEndpoint, Phase } from './api';
import { isFailure, isTransient, phaseOf, versionKey } from './phases';

/** How a deployment ended, where a transition is the end of one. */
export type Outcome = 'ready' | 'failed' | null;

/** An endpoint that is in another phase than at the look before. `from` is null for a new one. */
export interface ITransition {
  endpoint: IEndpoint;
  from: Phase | null;
  to: Phase;
  outcome: Outcome;
}

/** What is remembered of an endpoint from one look to the next. */
interface IMemory {
  phase: Phase;
  version: string;
  /** Whether a deployment, update or start by a person is under way: its end is told, a wake-up from zero is not. */
  deploying: boolean;
}

/** What is remembered of all endpoints, by id: a deleted one may still be there beside a new one of its name. */
export type Memory = ReadonlyMap<string, IMemory>;

function identity(endpoint: IEndpoint): string {
  return endpoint.id ?? endpoint.name;
}

function serves(phase: Phase): boolean {
  return phase === 'READY' || phase === 'SCALED_TO_ZERO';
}

function deploys(phase: Phase, before: IMemory | undefined): boolean {
  if (phase === 'CREATING' || phase === 'UPDATING') {
    return true;
  }
  if (phase !== 'STARTING' && phase !== 'CHECKING') {
    return false;
  }
  return (
    before !== undefined && (before.deploying || before.phase === 'STOPPED')
  );
}

function outcomeOf(
  phase: Phase,
  version: string,
  before: IMemory | undefined
): Outcome {
  if (isFailure(phase)) {
    return before?.phase === phase ? null : 'failed';
  }
  if (!serves(phase)) {
    return null;
  }
  if (before === undefined) {
    return 'ready';
  }
  const wasDown = isFailure(before.phase) || before.phase === 'STOPPED';
  return before.deploying || wasDown || before.version !== version
    ? 'ready'
    : null;
}

/**
 * Compare a look with the one before.
 *
 * @param before null at the first look, and after a pause: nothing is told then
 * @returns what to remember for the next look, and what changed
 */
export function compare(
  before: Memory | null,
  endpoints: ReadonlyArray<IEndpoint>
): { memory: Memory; transitions: ITransition[] } {
  const memory = new Map<string, IMemory>();
  const transitions: ITransition[] = [];
  for (const endpoint of endpoints) {
    const known = before?.get(identity(endpoint));
    const phase = phaseOf(endpoint);
    // while an update runs the server may list the old or the new version: only what serves counts
    const version =
      known && isTransient(phase) ? known.version : versionKey(endpoint);
    memory.set(identity(endpoint), {
      phase,
      version,
      deploying: deploys(phase, known)
    });
    if (before === null) {
      continue;
    }
    const outcome = outcomeOf(phase, version, known);
    if (outcome !== null || known?.phase !== phase) {
      transitions.push({
        endpoint,
        from: known?.phase ?? null,
        to: phase,
        outcome
      });
    }
  }
  return { memory, transitions };
}
