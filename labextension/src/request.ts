/**
 * The one way from the browser to the REST API: URL, credentials, time limit, errors.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

/** Where the server extension answers, below Jupyter's base URL. */
const NAMESPACE = 'jupyter-serving';

/** Longest text (characters) that is taken from an answer which is not in our error shape. */
const MAX_FOREIGN_TEXT = 200;

/**
 * What went wrong:
 * `network` no answer at all, `timeout` none in time, `http` an error answer, `body` an answer that is not JSON.
 */
export type FailureKind = 'network' | 'timeout' | 'http' | 'body';

/** A request that failed. `message` is the server's own line, or the browser's; translate around it, not it. */
export class RequestError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
    readonly status = 0,
    readonly code = ''
  ) {
    super(message);
    this.name = 'RequestError';
  }
}

/** How a request is made. */
export interface IRequestOptions {
  /** HTTP verb; GET when left out. */
  method?: 'GET' | 'POST' | 'DELETE';
  /** Body, sent as JSON. */
  body?: unknown;
  /**
   * Whether this is a look by a timer and not by a person: such requests must not keep a hub's server alive.
   */
  background?: boolean;
  /** Seconds until the request is given up. */
  timeout?: number;
}

/** Encode one segment of a path; `:` stays, as in `config:stop`. */
export function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replace(/%3A/gi, ':');
}

/** The absolute URL of a path (given as its unencoded segments) below our part of the Jupyter server. */
export function serviceUrl(baseUrl: string, path: string[]): string {
  return URLExt.join(baseUrl, NAMESPACE, ...path.map(encodeSegment));
}

/** The text of an HTML or plain page on one line, cut at `limit` characters. */
export function plainText(page: string, limit = MAX_FOREIGN_TEXT): string {
  const body = new DOMParser().parseFromString(page, 'text/html').body;
  body.querySelectorAll('script, style, noscript').forEach(node => {
    node.remove();
  });
  const words: string[] = [];
  const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    words.push(walker.currentNode.nodeValue ?? '');
  }
  const text = words.join(' ').replace(/\s+/g, ' ').trim();
  return text.length > limit ? `${text.slice(0, limit - 1).trimEnd()}…` : text;
}

/** The error of an answer that is not 2xx: ours (`error_code`), Jupyter's (`message`, `reason`) or a page. */
export function errorOf(status: number, text: string): RequestError {
  try {
    const data = JSON.parse(text);
    const message = data?.message || data?.reason;
    if (typeof message === 'string') {
      return new RequestError('http', message, status, data.error_code ?? '');
    }
  } catch {
    // not JSON: a page of Jupyter's or of a proxy's
  }
  return new RequestError('http', plainText(text), status);
}

/**
 * Ask the REST API and return the decoded JSON.
 *
 * @param settings the application's server settings (base URL, token, XSRF)
 * @param path unencoded segments below `<base URL>jupyter-serving/`
 * @throws RequestError
 */
export async function requestJson<T>(
  settings: ServerConnection.ISettings,
  path: string[],
  options: IRequestOptions = {}
): Promise<T> {
  const { method = 'GET', body, background = false, timeout = 20 } = options;
  const url =
    serviceUrl(settings.baseUrl, path) +
    (background ? '?no_track_activity=1' : '');
  const aborter = new AbortController();
  const timer = setTimeout(() => aborter.abort(), timeout * 1000);
  try {
    const response = await ServerConnection.makeRequest(
      url,
      {
        method,
        signal: aborter.signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) })
      },
      settings
    );
    const text = await response.text();
    if (!response.ok) {
      throw errorOf(response.status, text);
    }
    return decode<T>(text, response.status);
  } catch (error) {
    if (error instanceof RequestError) {
      throw error;
    }
    const message = error instanceof Error ? error.message : String(error);
    throw new RequestError(
      aborter.signal.aborted ? 'timeout' : 'network',
      message
    );
  } finally {
    clearTimeout(timer);
  }
}

function decode<T>(text: string, status: number): T {
  try {
    return (text === '' ? {} : JSON.parse(text)) as T;
  } catch {
    throw new RequestError('body', plainText(text), status);
  }
}
