/**
 * What the plugins share, and what other extensions may ask for.
 */

import { Token } from '@lumino/coreutils';
import type { IDisposable, IObservableDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

import type { IEndpoint, ServingApi } from './api';
import type { RequestError } from './request';
import type { ITransition } from './transitions';

/**
 * How the server answers: `loading` not yet, `connected` the list is fresh, `disconnected` the list (if any) is the
 * last that was told, `unavailable` the server has no part of ours.
 */
export type Connection =
  'loading' | 'connected' | 'disconnected' | 'unavailable';

/** A verb that a person asked for. */
export type Verb = 'start' | 'stop' | 'delete';

/** What is known at one moment; never changed, always replaced. */
export interface ISnapshot {
  readonly connection: Connection;
  /** Sorted by name. */
  readonly endpoints: ReadonlyArray<IEndpoint>;
  /** Why the last look failed, or null. */
  readonly error: RequestError | null;
  /** When the list was last fresh (ms since 1970), or null. */
  readonly updated: number | null;
  /** Verbs that are being carried out, by endpoint. */
  readonly pending: ReadonlyMap<string, Verb>;
}

/** The endpoints of the server, kept fresh while somebody watches. */
export interface IServingModel extends IObservableDisposable {
  /** The REST API. */
  readonly api: ServingApi;

  /** What is known now. */
  readonly snapshot: ISnapshot;

  /** Emitted after `snapshot` was replaced. */
  readonly changed: ISignal<IServingModel, ISnapshot>;

  /** Emitted with the endpoints that are in another phase than before; not for those seen at the first look. */
  readonly transitioned: ISignal<IServingModel, ReadonlyArray<ITransition>>;

  /** Seconds between two looks. */
  pollSeconds: number;

  /** Keep looking until the result is disposed. */
  watch(): IDisposable;

  /** Look now. Resolves when the answer (or its failure) is in `snapshot`. */
  refresh(): Promise<void>;

  /** The endpoint of that name, if the list has it. */
  find(name: string): IEndpoint | undefined;

  /** Carry out a verb on an endpoint and look again. Throws `RequestError`. */
  act(verb: Verb, name: string): Promise<void>;
}

/** The endpoints of the server. */
export const IServingModel = new Token<IServingModel>(
  'jupyter-serving:IServingModel',
  'The serving endpoints of the Jupyter server: their state, kept fresh, and the verbs on them.'
);

/** Commands, by what they do. */
export namespace CommandIDs {
  export const start = 'jupyter-serving:start-endpoint';
  export const stop = 'jupyter-serving:stop-endpoint';
  export const remove = 'jupyter-serving:delete-endpoint';
  export const copyUrl = 'jupyter-serving:copy-url';
  export const copyExample = 'jupyter-serving:copy-example';
  export const refresh = 'jupyter-serving:refresh-endpoints';
  export const openLogs = 'jupyter-serving:open-logs';
  export const showPanel = 'jupyter-serving:show-endpoints';
}

/** Id of the sidebar. */
export const SIDEBAR_ID = 'jupyter-serving-sidebar';

/** Domain of the translations. */
export const DOMAIN = 'jupyter_serving';
