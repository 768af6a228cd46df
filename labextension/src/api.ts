/**
 * The REST API as typed functions, and the shapes that they answer with.
 *
 * It is the Databricks Serving Endpoints API 2.0 with fields of our own (`live`, `invocations_url`); the fields that are
 * not used here are left out. Everything of our own is optional, so that a plain server of that API can be shown too.
 */

import type { ServerConnection } from '@jupyterlab/services';

import { requestJson } from './request';
import type { IRequestOptions } from './request';

/** What an endpoint does just now; a newer server may know more. */
export type Phase =
  | 'CREATING'
  | 'READY'
  | 'SCALED_TO_ZERO'
  | 'STARTING'
  | 'UPDATING'
  | 'UPDATE_FAILED'
  | 'FAILED'
  | 'STOPPED'
  | 'STOPPING'
  | 'DELETING'
  | 'CHECKING'
  | 'UNKNOWN';

/** Numbers of one endpoint as of now. */
export interface ILive {
  phase: string;
  message?: string | null;
  replicas?: {
    ready: number;
    starting: number;
    draining: number;
    wanted: number;
  };
  in_flight?: number;
  queued?: number;
  requests_per_second?: number;
  provisioned_concurrency?: number;
  last_cold_start_seconds?: number | null;
}

/** One model version that an endpoint serves. `state` comes with the details only. */
export interface IServedEntity {
  name: string;
  entity_name?: string | null;
  entity_version?: string | null;
  state?: { deployment?: string; deployment_state_message?: string };
}

/** A list of served entities under one version of the configuration. */
export interface IEndpointConfig {
  served_entities?: IServedEntity[];
}

/** An endpoint; `pending_config` comes with the details only, while an update is under way. */
export interface IEndpoint {
  name: string;
  id?: string;
  creator?: string;
  creation_timestamp?: number;
  last_updated_timestamp?: number;
  description?: string;
  state?: { ready?: string; config_update?: string };
  config?: IEndpointConfig;
  pending_config?: IEndpointConfig | null;
  live?: ILive;
  invocations_url?: string;
}

/** One line of an endpoint's history; `timestamp` is in milliseconds since 1970. */
export interface IEndpointEvent {
  id: number | string;
  timestamp: number;
  type: string;
  message: string;
  served_entity?: string | null;
}

/** Which log of a served entity. */
export type LogKind = 'logs' | 'build-logs';

const ENDPOINTS = ['api', '2.0', 'serving-endpoints'];

/** The REST API of one Jupyter server. Every method throws `RequestError`. */
export class ServingApi {
  constructor(private readonly _settings: ServerConnection.ISettings) {}

  /** All endpoints. */
  async list(): Promise<IEndpoint[]> {
    const answer = await this._ask<{ endpoints?: IEndpoint[] }>([], {
      background: true
    });
    return answer.endpoints ?? [];
  }

  /** One endpoint with the deployment state of its served entities. */
  get(name: string): Promise<IEndpoint> {
    return this._ask([name], { background: true });
  }

  /** Start a stopped endpoint. */
  async start(name: string): Promise<void> {
    await this._ask([name, 'config:start'], { method: 'POST', body: {} });
  }

  /** Stop an endpoint; its configuration stays. */
  async stop(name: string): Promise<void> {
    await this._ask([name, 'config:stop'], { method: 'POST', body: {} });
  }

  /** Delete an endpoint with its configuration, tokens and logs. */
  async delete(name: string): Promise<void> {
    await this._ask([name], { method: 'DELETE' });
  }

  /** The text of a log of a served entity. */
  async logs(name: string, entity: string, kind: LogKind): Promise<string> {
    const answer = await this._ask<{ logs?: string | null }>(
      [name, 'served-models', entity, kind],
      { background: true }
    );
    return answer.logs ?? '';
  }

  /** What happened to an endpoint, oldest first. */
  async events(name: string): Promise<IEndpointEvent[]> {
    const answer = await this._ask<{ events?: IEndpointEvent[] }>(
      [name, 'events'],
      { background: true }
    );
    return answer.events ?? [];
  }

  private _ask<T>(path: string[], options: IRequestOptions): Promise<T> {
    return requestJson<T>(this._settings, [...ENDPOINTS, ...path], options);
  }
}
