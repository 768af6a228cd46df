/**
 * What an endpoint does, as pure functions of what the server told: phase, kind of phase, which verbs apply.
 */

import type { IEndpoint, IServedEntity, Phase } from './api';

/** How a phase is drawn and coloured: always beside its text, never instead of it. */
export type Tone =
  'ready' | 'asleep' | 'busy' | 'warning' | 'failed' | 'stopped';

const TONES: Record<Phase, Tone> = {
  CREATING: 'busy',
  READY: 'ready',
  SCALED_TO_ZERO: 'asleep',
  STARTING: 'busy',
  UPDATING: 'busy',
  UPDATE_FAILED: 'warning',
  FAILED: 'failed',
  STOPPED: 'stopped',
  STOPPING: 'busy',
  DELETING: 'busy',
  CHECKING: 'busy',
  UNKNOWN: 'stopped'
};

function isPhase(value: string): value is Phase {
  return Object.prototype.hasOwnProperty.call(TONES, value);
}

/** The phase that the server tells; derived from the standard `state` where it has no `live`. */
export function phaseOf(endpoint: IEndpoint): Phase {
  if (endpoint.live) {
    return isPhase(endpoint.live.phase) ? endpoint.live.phase : 'UNKNOWN';
  }
  const ready = endpoint.state?.ready === 'READY';
  switch (endpoint.state?.config_update) {
    case 'IN_PROGRESS':
      return ready ? 'UPDATING' : 'CREATING';
    case 'UPDATE_FAILED':
    case 'UPDATE_CANCELED':
      return ready ? 'UPDATE_FAILED' : 'FAILED';
    case 'NOT_UPDATING':
      return ready ? 'READY' : 'STOPPED';
    default:
      return ready ? 'READY' : 'UNKNOWN';
  }
}

/** The tone of a phase. */
export function toneOf(phase: Phase): Tone {
  return TONES[phase];
}

/** Whether the phase ends by itself. */
export function isTransient(phase: Phase): boolean {
  return TONES[phase] === 'busy';
}

/** Whether the endpoint needs a person: its message and its logs are worth a look. */
export function isFailure(phase: Phase): boolean {
  return phase === 'FAILED' || phase === 'UPDATE_FAILED';
}

/** Whether an endpoint in this phase can be started; after a failure that tries again. */
export function canStart(phase: Phase): boolean {
  return phase === 'STOPPED' || phase === 'FAILED';
}

/** Whether a deployment is under way: no other change can be made until it has ended. */
export function isDeploying(phase: Phase): boolean {
  return phase === 'CREATING' || phase === 'UPDATING';
}

/** Whether an endpoint in this phase can be stopped. */
export function canStop(phase: Phase): boolean {
  return (
    !canStart(phase) &&
    !isDeploying(phase) &&
    phase !== 'STOPPING' &&
    phase !== 'DELETING'
  );
}

/** Whether an endpoint in this phase can be deleted. */
export function canDelete(phase: Phase): boolean {
  return phase !== 'DELETING';
}

/** The served entities of the active configuration and, where an update is under way, of the pending one. */
export function servedEntities(endpoint: IEndpoint): IServedEntity[] {
  const byName = new Map<string, IServedEntity>();
  for (const config of [endpoint.config, endpoint.pending_config]) {
    for (const entity of config?.served_entities ?? []) {
      byName.set(entity.name, entity);
    }
  }
  return [...byName.values()];
}

/** A text that changes when the endpoint serves something else. */
export function versionKey(endpoint: IEndpoint): string {
  const entities = endpoint.config?.served_entities ?? [];
  return JSON.stringify(
    entities.map(entity => [
      entity.name,
      entity.entity_name ?? null,
      entity.entity_version ?? null
    ])
  );
}
