/**
 * The logs and the history of one endpoint, looked at again and again while they are followed and seen.
 */

import type { IObservableDisposable } from '@lumino/disposable';
import { Poll } from '@lumino/polling';
import { Signal } from '@lumino/signaling';
import type { ISignal } from '@lumino/signaling';

import type {
  IEndpoint,
  IEndpointEvent,
  IServedEntity,
  LogKind,
  ServingApi
} from './api';
import { servedEntities } from './phases';
import { RequestError } from './request';

/** What can be looked at. */
export type LogTab = 'service' | 'build' | 'events';

/** All tabs, in the order in which they are shown. */
export const LOG_TABS: ReadonlyArray<LogTab> = ['service', 'build', 'events'];

/** What is known at one moment; never changed, always replaced. */
export interface ILogSnapshot {
  readonly tab: LogTab;
  /** The chosen served entity; null as long as none is known. */
  readonly entity: string | null;
  readonly entities: ReadonlyArray<IServedEntity>;
  /** Of the chosen tab and entity; null until it was told. */
  readonly text: string | null;
  readonly events: ReadonlyArray<IEndpointEvent> | null;
  readonly endpoint: IEndpoint | null;
  /** Why the last look failed, or null. */
  readonly error: RequestError | null;
  /** Whether the endpoint does not exist (any more): nothing is asked again. */
  readonly gone: boolean;
  /** Whether to look again by a timer. */
  readonly follow: boolean;
}

function isOurs404(error: unknown): boolean {
  return (
    error instanceof RequestError && error.status === 404 && error.code !== ''
  );
}

/** The model of one log view. */
export class LogsModel implements IObservableDisposable {
  constructor(private readonly _options: LogsModel.IOptions) {
    this._snapshot = {
      tab: _options.tab ?? 'service',
      entity: null,
      entities: [],
      text: null,
      events: null,
      endpoint: null,
      error: null,
      gone: false,
      follow: true
    };
    this._undecided = _options.tab === undefined;
    this._poll = new Poll({
      name: `jupyter-serving:logs:${_options.name}`,
      factory: () => this._look(),
      frequency: {
        interval: (_options.pollSeconds ?? 2) * 1000,
        backoff: 2,
        max: 15_000
      },
      standby: () => this._rests()
    });
  }

  /** Name of the endpoint. */
  get name(): string {
    return this._options.name;
  }

  get snapshot(): ILogSnapshot {
    return this._snapshot;
  }

  /** Emitted after `snapshot` was replaced. */
  get changed(): ISignal<this, ILogSnapshot> {
    return this._changed;
  }

  get disposed(): ISignal<this, void> {
    return this._disposed;
  }

  get isDisposed(): boolean {
    return this._poll.isDisposed;
  }

  /** Whether somebody sees it: set by the widget. */
  get visible(): boolean {
    return this._visible;
  }

  set visible(visible: boolean) {
    const appears = visible && !this._visible;
    this._visible = visible;
    if (appears && this._snapshot.follow) {
      this.refresh();
    }
  }

  /** Show another log. */
  selectTab(tab: LogTab): void {
    this._undecided = false;
    if (tab !== this._snapshot.tab) {
      this._replace({ tab, text: null, error: null });
      this.refresh();
    }
  }

  /** Show the log of another served entity. */
  selectEntity(entity: string): void {
    if (entity !== this._snapshot.entity) {
      this._replace({ entity, text: null, error: null });
      this.refresh();
    }
  }

  /** Look again by a timer, or not. */
  setFollow(follow: boolean): void {
    this._replace({ follow });
    if (follow) {
      this.refresh();
    }
  }

  /** Look now, even if it is not followed. */
  refresh(): void {
    this._forced = true;
    // what is being answered now may belong to another tab
    this._turn += 1;
    void this._poll.schedule({ interval: Poll.IMMEDIATE, phase: 'refreshed' });
  }

  dispose(): void {
    if (this.isDisposed) {
      return;
    }
    this._poll.dispose();
    this._disposed.emit();
    Signal.clearData(this);
  }

  private _rests(): boolean {
    const { gone, follow } = this._snapshot;
    return (
      !this._forced &&
      (gone ||
        !follow ||
        !this._visible ||
        document.visibilityState === 'hidden')
    );
  }

  private async _look(): Promise<void> {
    this._forced = false;
    const turn = ++this._turn;
    try {
      const part = await this._ask();
      if (turn === this._turn) {
        this._replace({ ...part, error: null, gone: false });
        this._decide();
      }
    } catch (error) {
      if (turn === this._turn && error instanceof RequestError) {
        this._replace({ error });
      }
      throw error;
    }
  }

  private async _ask(): Promise<Partial<ILogSnapshot>> {
    const endpoint = await this._endpoint();
    const entities = servedEntities(endpoint);
    const { tab } = this._snapshot;
    if (tab === 'events') {
      return {
        endpoint,
        entities,
        events: await this._options.api.events(this.name)
      };
    }
    const entity = this._chosen(entities);
    const kind = tab === 'service' ? 'logs' : 'build-logs';
    const text = entity === null ? '' : await this._log(entity, kind);
    return { endpoint, entities, entity, text };
  }

  /** A log; its 404 means that there is none yet. */
  private async _log(entity: string, kind: LogKind): Promise<string> {
    try {
      return await this._options.api.logs(this.name, entity, kind);
    } catch (error) {
      if (isOurs404(error)) {
        return '';
      }
      throw error;
    }
  }

  /** The details; their 404 means that the endpoint is gone. */
  private async _endpoint(): Promise<IEndpoint> {
    try {
      return await this._options.api.get(this.name);
    } catch (error) {
      if (isOurs404(error)) {
        this._replace({ gone: true });
      }
      throw error;
    }
  }

  /** The chosen entity, else the newest: that of the pending configuration, which is listed last. */
  private _chosen(entities: ReadonlyArray<IServedEntity>): string | null {
    const { entity } = this._snapshot;
    if (entity !== null && entities.some(({ name }) => name === entity)) {
      return entity;
    }
    return entities[entities.length - 1]?.name ?? null;
  }

  /** Opened without a choice, and nothing served yet: what there is to see is the build. */
  private _decide(): void {
    const { text } = this._snapshot;
    if (!this._undecided || text === null) {
      return;
    }
    this._undecided = false;
    if (text.trim() === '') {
      this._replace({ tab: 'build', text: null });
      this.refresh();
    }
  }

  private _replace(part: Partial<ILogSnapshot>): void {
    if (this.isDisposed) {
      return;
    }
    this._snapshot = { ...this._snapshot, ...part };
    this._changed.emit(this._snapshot);
  }

  private _snapshot: ILogSnapshot;
  private readonly _poll: Poll;
  private readonly _changed = new Signal<this, ILogSnapshot>(this);
  private readonly _disposed = new Signal<this, void>(this);
  private _undecided: boolean;
  private _visible = false;
  private _forced = false;
  private _turn = 0;
}

/** What a log model is made of. */
export namespace LogsModel {
  export interface IOptions {
    api: ServingApi;
    /** Name of the endpoint. */
    name: string;
    /** What to show first; by itself the service log, or the build log if there is none yet. */
    tab?: LogTab;
    /** Seconds between two looks; 2 when left out. */
    pollSeconds?: number;
  }
}
