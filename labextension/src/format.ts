/**
 * Texts for people, from what the server told. Pure; every text goes through the translation.
 */

import type { TranslationBundle } from '@jupyterlab/translation';

import type { IEndpoint, ILive, IServedEntity, Phase } from './api';
import { phaseOf } from './phases';
import { RequestError } from './request';
import type { Verb } from './tokens';

/** The name of a phase. */
export function phaseLabel(phase: Phase, trans: TranslationBundle): string {
  switch (phase) {
    case 'CREATING':
      return trans.__('Creating');
    case 'READY':
      return trans.__('Ready');
    case 'SCALED_TO_ZERO':
      return trans.__('Scaled to zero');
    case 'STARTING':
      return trans.__('Starting');
    case 'UPDATING':
      return trans.__('Updating');
    case 'UPDATE_FAILED':
      return trans.__('Update failed');
    case 'FAILED':
      return trans.__('Failed');
    case 'STOPPED':
      return trans.__('Stopped');
    case 'STOPPING':
      return trans.__('Stopping');
    case 'DELETING':
      return trans.__('Deleting');
    case 'CHECKING':
      return trans.__('Checking');
    case 'UNKNOWN':
      return trans.__('Unknown');
  }
}

/** What a phase means for those who send requests. */
export function phaseHint(phase: Phase, trans: TranslationBundle): string {
  switch (phase) {
    case 'CREATING':
      return trans.__('The first version is being built and loaded.');
    case 'READY':
      return trans.__('Requests are answered.');
    case 'SCALED_TO_ZERO':
      return trans.__('No replica runs; the next request starts one.');
    case 'STARTING':
      return trans.__('A replica starts; requests wait for it.');
    case 'UPDATING':
      return trans.__(
        'A new version is being started; the one before it serves until then.'
      );
    case 'UPDATE_FAILED':
      return trans.__(
        'The new version did not start; the version before it serves on.'
      );
    case 'FAILED':
      return trans.__(
        'The endpoint did not start; requests are refused. Start tries again.'
      );
    case 'STOPPED':
      return trans.__('Requests are refused until the endpoint is started.');
    case 'STOPPING':
      return trans.__('Requests in progress are finished.');
    case 'DELETING':
      return trans.__('The endpoint is being removed.');
    case 'CHECKING':
      return trans.__(
        'The controller was restarted and looks at the replicas.'
      );
    case 'UNKNOWN':
      return trans.__(
        'The server told a state that this version does not know.'
      );
  }
}

/** What is being done to an endpoint while a verb is carried out. */
export function pendingLabel(verb: Verb, trans: TranslationBundle): string {
  switch (verb) {
    case 'start':
      return trans.__('Starting…');
    case 'stop':
      return trans.__('Stopping…');
    case 'delete':
      return trans.__('Deleting…');
  }
}

/** A served model with its version. */
export function entityLabel(
  entity: IServedEntity,
  trans: TranslationBundle
): string {
  const model = entity.entity_name || entity.name;
  return entity.entity_version
    ? trans.__('%1, version %2', model, entity.entity_version)
    : model;
}

/** Ready replicas out of the wanted ones. */
export function replicasLabel(live: ILive): string {
  const { ready = 0, wanted = 0 } = live.replicas ?? {};
  return `${ready}/${wanted}`;
}

/** A number of at most about four characters: 0, 0.4, 12, 1.3K. */
export function shortNumber(value: number, locale?: string): string {
  return new Intl.NumberFormat(locale, {
    notation: 'compact',
    maximumFractionDigits: value < 10 || value >= 1000 ? 1 : 0
  }).format(value);
}

/** A duration in seconds or milliseconds. */
export function durationLabel(
  seconds: number,
  trans: TranslationBundle
): string {
  if (seconds < 1) {
    return trans.__('%1 ms', Math.round(seconds * 1000));
  }
  return trans.__(
    '%1 s',
    seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)
  );
}

/** The point in time of an event, in the reader's own form. */
export function timeLabel(milliseconds: number, locale?: string): string {
  return new Date(milliseconds).toLocaleString(locale, {
    dateStyle: 'short',
    timeStyle: 'medium'
  });
}

/** Why a request failed and what to do. */
export function errorText(error: unknown, trans: TranslationBundle): string {
  if (!(error instanceof RequestError)) {
    return error instanceof Error ? error.message : String(error);
  }
  switch (error.kind) {
    case 'network':
      return trans.__('The Jupyter server cannot be reached.');
    case 'timeout':
      return trans.__('The Jupyter server did not answer in time.');
    case 'body':
      return trans.__(
        'The answer was not understood: a proxy or a sign-in page may have answered. Reload the page.'
      );
    case 'http':
      return httpText(error, trans);
  }
}

function httpText(error: RequestError, trans: TranslationBundle): string {
  if (error.code) {
    return error.message;
  }
  if (error.status === 401 || error.status === 403) {
    return trans.__(
      'The Jupyter server refused (%1). You may be signed out: reload the page.',
      error.status
    );
  }
  return error.message
    ? trans.__('The server answered %1: %2', error.status, error.message)
    : trans.__('The server answered %1.', error.status);
}

/** What is lost when the endpoint is deleted, one sentence each. */
export function deletionLosses(
  endpoint: IEndpoint | undefined,
  trans: TranslationBundle
): string[] {
  const losses = [
    trans.__(
      'Its URL stops answering, and its configuration, query tokens, logs and history are removed. This cannot be undone.'
    )
  ];
  const live = endpoint?.live;
  const rate = live?.requests_per_second ?? 0;
  const held = (live?.in_flight ?? 0) + (live?.queued ?? 0);
  if (rate > 0 || held > 0) {
    losses.push(
      trans.__(
        'It is in use: %1 requests per second, %2 waiting or being answered now.',
        shortNumber(rate),
        held
      )
    );
  } else if (endpoint && phaseOf(endpoint) === 'UPDATING') {
    losses.push(trans.__('The update that is under way is given up.'));
  }
  losses.push(trans.__('The registered models stay.'));
  return losses;
}

/** Escape sequences of a terminal (colours, cursor, titles), which a log may hold. */
const ESCAPES =
  // eslint-disable-next-line no-control-regex
  /\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[@-Z\\-_])/g;

/** The last lines of a log without escape sequences; a line that was overwritten (progress bars) shows its last state. */
export function logText(
  text: string,
  maxLines = 5000
): { text: string; cut: number } {
  const lines = text
    .replace(ESCAPES, '')
    .replace(/\r\n/g, '\n')
    .split('\n')
    .map(line => line.replace(/\r+$/, ''))
    .map(line => line.slice(line.lastIndexOf('\r') + 1));
  const cut = Math.max(0, lines.length - maxLines);
  return { text: lines.slice(cut).join('\n').trimEnd(), cut };
}

/** One number of an endpoint. `key` is for machines. */
export interface IMetric {
  key: 'replicas' | 'rate' | 'in-flight' | 'queued' | 'cold-start';
  label: string;
  value: string;
  hint: string;
}

/** The numbers that mean something in the endpoint's phase. */
export function metricsOf(
  endpoint: IEndpoint,
  trans: TranslationBundle
): IMetric[] {
  const { live } = endpoint;
  const phase = phaseOf(endpoint);
  if (!live || ['STOPPED', 'FAILED', 'DELETING'].includes(phase)) {
    return [];
  }
  const metrics = [replicasMetric(live, trans)];
  if (phase === 'CREATING') {
    return metrics;
  }
  metrics.push(...trafficMetrics(live, trans));
  if (typeof live.last_cold_start_seconds === 'number') {
    metrics.push({
      key: 'cold-start',
      label: trans.__('Last cold start'),
      value: durationLabel(live.last_cold_start_seconds, trans),
      hint: trans.__('How long the last start from zero took')
    });
  }
  return metrics;
}

function replicasMetric(live: ILive, trans: TranslationBundle): IMetric {
  const { starting = 0, draining = 0 } = live.replicas ?? {};
  return {
    key: 'replicas',
    label: trans.__('Replicas'),
    value: replicasLabel(live),
    hint: trans.__(
      'Ready of wanted; %1 starting, %2 draining',
      starting,
      draining
    )
  };
}

function trafficMetrics(live: ILive, trans: TranslationBundle): IMetric[] {
  return [
    {
      key: 'rate',
      label: trans.__('Requests/s'),
      value: shortNumber(live.requests_per_second ?? 0),
      hint: trans.__('Requests per second')
    },
    {
      key: 'in-flight',
      label: trans.__('In flight'),
      value: shortNumber(live.in_flight ?? 0),
      hint: trans.__('Requests that are being answered now')
    },
    {
      key: 'queued',
      label: trans.__('Queued'),
      value: shortNumber(live.queued ?? 0),
      hint: trans.__('Requests that wait for a replica')
    }
  ];
}
