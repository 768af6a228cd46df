/**
 * A server made of plain answers, behind the real `ServerConnection`.
 */

import { ServerConnection } from '@jupyterlab/services';
import type { Poll } from '@lumino/polling';

import { ServingApi } from '../api';
import type { IEndpoint } from '../api';

/** One answer: status and body; an `Error` stands for no answer at all. */
export type Answer =
  { status?: number; json?: unknown; text?: string; type?: string } | Error;

/** Answers by `METHOD path` (below the base URL, without query); a function is asked at each request. */
export class FakeServer {
  constructor(readonly baseUrl = 'http://localhost:8888/user/a%40b/') {}

  readonly answers = new Map<
    string,
    Answer | (() => Answer | Promise<Answer>)
  >();
  readonly requests: Request[] = [];

  get settings(): ServerConnection.ISettings {
    return ServerConnection.makeSettings({
      baseUrl: this.baseUrl,
      token: 'secret',
      fetch: request => this._fetch(request as Request)
    });
  }

  get api(): ServingApi {
    return new ServingApi(this.settings);
  }

  /** What the list of endpoints answers from now on. */
  list(...endpoints: IEndpoint[]): void {
    this.answers.set(LIST, { json: { endpoints } });
  }

  private async _fetch(request: Request): Promise<Response> {
    this.requests.push(request);
    const path = request.url.slice(this.baseUrl.length).split('?')[0];
    const known = this.answers.get(`${request.method} ${path}`);
    const answer = typeof known === 'function' ? await known() : known;
    if (answer instanceof Error) {
      throw answer;
    }
    const { status = 200, json, text } = answer ?? { status: 404, text: '' };
    return new Response(text ?? JSON.stringify(json ?? {}), { status });
  }
}

/** Resolves after the poll ticked some times without asking anything. */
export function rests(poll: Poll, ticks = 3): Promise<void> {
  return new Promise(resolve => {
    let left = ticks;
    poll.ticked.connect((_, { phase }) => {
      left = phase === 'standby' ? left - 1 : ticks;
      if (left === 0) {
        resolve();
      }
    });
  });
}

export const LIST = 'GET jupyter-serving/api/2.0/serving-endpoints';

/** An endpoint in a phase. */
export function endpoint(
  name: string,
  phase: string,
  part: Partial<IEndpoint> = {},
  live: Partial<IEndpoint['live']> = {}
): IEndpoint {
  return {
    name,
    id: `id-${name}`,
    config: {
      served_entities: [
        { name: `${name}-1`, entity_name: name, entity_version: '1' }
      ]
    },
    live: {
      phase,
      replicas: { ready: 1, starting: 0, draining: 0, wanted: 1 },
      in_flight: 0,
      queued: 0,
      requests_per_second: 0,
      ...live
    },
    invocations_url: `http://127.0.0.1:9000/serving-endpoints/${name}/invocations`,
    ...part
  };
}
