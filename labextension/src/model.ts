/**
 * The endpoints of the server as one snapshot that is replaced at every look: one poll for the whole application.
 */

import { DisposableDelegate } from '@lumino/disposable';
import type { IDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';

import type { IEndpoint, ServingApi } from './api';
import { isTransient, phaseOf } from './phases';
import { RequestError } from './request';
import type { IServingModel, ISnapshot, Verb } from './tokens';
import { compare } from './transitions';
import type { ITransition, Memory } from './transitions';

/** Longest pause (ms) between two looks while the server does not answer. */
const MAX_BACKOFF = 30_000;

/** Failures of `error` that mean: the server has no part of ours (its own 404 page, not our error shape). */
function isMissing(error: RequestError): boolean {
  return error.kind === 'http' && error.status === 404 && error.code === '';
}

function asRequestError(error: unknown): RequestError {
  return error instanceof RequestError
    ? error
    : new RequestError('body', String(error));
}

/** By name; one that is being deleted comes after a new one of the same name, so that `find` finds the new one. */
function byName(left: IEndpoint, right: IEndpoint): number {
  if (left.name !== right.name) {
    return left.name < right.name ? -1 : 1;
  }
  return (
    Number(phaseOf(left) === 'DELETING') - Number(phaseOf(right) === 'DELETING')
  );
}

/** The model behind `IServingModel`. */
export class ServingModel implements IServingModel {
  constructor(options: ServingModel.IOptions) {
    this.api = options.api;
    this._now = options.now ?? Date.now;
    this._poll = new Poll({
      name: 'jupyter-serving:endpoints',
      factory: () => this._look(),
      frequency: {
        interval: (options.pollSeconds ?? 2) * 1000,
        backoff: true,
        max: MAX_BACKOFF
      },
      standby: () => this._rests()
    });
  }

  readonly api: ServingApi;

  get snapshot(): ISnapshot {
    return this._snapshot;
  }

  get changed(): ISignal<this, ISnapshot> {
    return this._changed;
  }

  get transitioned(): ISignal<this, ReadonlyArray<ITransition>> {
    return this._transitioned;
  }

  get disposed(): ISignal<this, void> {
    return this._disposed;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  get pollSeconds(): number {
    return this._poll.frequency.interval / 1000;
  }

  set pollSeconds(seconds: number) {
    const interval = seconds * 1000;
    this._poll.frequency = {
      interval,
      backoff: true,
      max: Math.max(MAX_BACKOFF, interval)
    };
  }

  watch(): IDisposable {
    this._watchers += 1;
    if (this._watchers === 1) {
      this._lookNow();
    }
    return new DisposableDelegate(() => {
      this._watchers -= 1;
    });
  }

  async refresh(): Promise<void> {
    const before = this._turn;
    this._forced += 1;
    try {
      this._lookNow();
      while (this._answered <= before && !this.isDisposed) {
        await this._poll.tick.catch(() => undefined);
      }
    } finally {
      this._forced -= 1;
    }
  }

  find(name: string): IEndpoint | undefined {
    return this._snapshot.endpoints.find(endpoint => endpoint.name === name);
  }

  async act(verb: Verb, name: string): Promise<void> {
    this._setPending(name, verb);
    try {
      await this.api[verb](name);
      // its end is told even if nobody watches
      this._followed.add(name);
      await this.refresh();
    } finally {
      this._setPending(name, null);
    }
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._poll.dispose();
    this._disposed.emit();
    Signal.clearData(this);
  }

  /** Not `Poll.refresh`, which does nothing while an older look (one from before a verb) is still under way. */
  private _lookNow(): void {
    void this._poll.schedule({ interval: Poll.IMMEDIATE, phase: 'refreshed' });
  }

  private async _look(): Promise<void> {
    const turn = ++this._turn;
    try {
      const endpoints = await this.api.list();
      if (!this._isStale(turn)) {
        this._learn([...endpoints].sort(byName));
      }
    } catch (reason) {
      const error = asRequestError(reason);
      if (!this._isStale(turn)) {
        this._replace({
          connection: isMissing(error) ? 'unavailable' : 'disconnected',
          error
        });
      }
      throw error;
    }
  }

  /** Whether a later look was answered before this one. */
  private _isStale(turn: number): boolean {
    if (this.isDisposed || turn < this._answered) {
      return true;
    }
    this._answered = turn;
    return false;
  }

  private _learn(endpoints: IEndpoint[]): void {
    const { memory, transitions } = compare(this._memory, endpoints);
    // after a rest only what a person set going is news
    const news = this._rested
      ? transitions.filter(({ endpoint }) => this._followed.has(endpoint.name))
      : transitions;
    this._memory = memory;
    this._rested = false;
    this._replace({
      connection: 'connected',
      endpoints,
      error: null,
      updated: this._now()
    });
    this._unfollow();
    if (news.length > 0) {
      this._transitioned.emit(news);
    }
  }

  private _unfollow(): void {
    for (const name of this._followed) {
      const endpoint = this.find(name);
      if (!endpoint || !isTransient(phaseOf(endpoint))) {
        this._followed.delete(name);
      }
    }
  }

  private _rests(): boolean {
    if (this._forced > 0) {
      return false;
    }
    const rests =
      document.visibilityState === 'hidden' ||
      (this._watchers === 0 && this._followed.size === 0);
    this._rested = this._rested || rests;
    return rests;
  }

  private _setPending(name: string, verb: Verb | null): void {
    const pending = new Map(this._snapshot.pending);
    if (verb) {
      pending.set(name, verb);
    } else {
      pending.delete(name);
    }
    this._replace({ pending });
  }

  private _replace(part: Partial<ISnapshot>): void {
    if (this.isDisposed) {
      return;
    }
    this._snapshot = { ...this._snapshot, ...part };
    this._changed.emit(this._snapshot);
  }

  private _snapshot: ISnapshot = {
    connection: 'loading',
    endpoints: [],
    error: null,
    updated: null,
    pending: new Map()
  };
  private readonly _now: () => number;
  private readonly _poll: Poll<void, RequestError>;
  private readonly _changed = new Signal<this, ISnapshot>(this);
  private readonly _transitioned = new Signal<this, ReadonlyArray<ITransition>>(
    this
  );
  private readonly _disposed = new Signal<this, void>(this);
  private readonly _followed = new Set<string>();
  private _memory: Memory | null = null;
  private _rested = false;
  private _watchers = 0;
  private _forced = 0;
  private _turn = 0;
  private _answered = 0;
}

/** What a model is made of. */
export namespace ServingModel {
  export interface IOptions {
    api: ServingApi;
    /** Seconds between two looks; 2 when left out. */
    pollSeconds?: number;
    /** The clock (ms since 1970). */
    now?: () => number;
  }
}
