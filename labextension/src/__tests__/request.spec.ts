import {
  RequestError,
  errorOf,
  plainText,
  requestJson,
  serviceUrl
} from '../request';
import { FakeServer } from './server';

async function failure(promise: Promise<unknown>): Promise<RequestError> {
  try {
    await promise;
  } catch (error) {
    expect(error).toBeInstanceOf(RequestError);
    return error as RequestError;
  }
  throw new Error('The request did not fail.');
}

describe('serviceUrl', () => {
  it('keeps an encoded prefix and encodes each segment', () => {
    const url = serviceUrl('http://h/user/a%40b/', ['api', 'x y/z', '%']);
    expect(url).toBe('http://h/user/a%40b/jupyter-serving/api/x%20y%2Fz/%25');
  });

  it('keeps the colon of a custom verb', () => {
    const url = serviceUrl('http://h/', ['iris', 'config:stop']);
    expect(url).toBe('http://h/jupyter-serving/iris/config:stop');
  });

  it('needs no slash at the end of the base URL', () => {
    expect(serviceUrl('http://h/hub', ['api'])).toBe(
      'http://h/hub/jupyter-serving/api'
    );
  });
});

describe('plainText', () => {
  it('drops markup and scripts and keeps words apart', () => {
    const page =
      '<html><head><style>b{}</style></head><body><h1>502</h1><p>Bad</p><script>x()</script></body></html>';
    expect(plainText(page)).toBe('502 Bad');
  });

  it('cuts a long page', () => {
    const text = plainText(`<p>${'word '.repeat(500)}</p>`, 50);
    expect(text.length).toBeLessThanOrEqual(50);
    expect(text.endsWith('…')).toBe(true);
  });
});

describe('errorOf', () => {
  it('reads our shape', () => {
    const error = errorOf(
      409,
      '{"error_code": "RESOURCE_CONFLICT", "message": "Wait."}'
    );
    expect(error).toMatchObject({
      kind: 'http',
      status: 409,
      code: 'RESOURCE_CONFLICT',
      message: 'Wait.'
    });
  });

  it("reads Jupyter's shape, which has no code", () => {
    const error = errorOf(403, '{"message": "Forbidden", "reason": null}');
    expect(error).toMatchObject({
      status: 403,
      code: '',
      message: 'Forbidden'
    });
  });

  it('takes the text of a page, cut', () => {
    const error = errorOf(502, `<h1>Bad gateway</h1>${'<p>x</p>'.repeat(999)}`);
    expect(error.message.startsWith('Bad gateway x')).toBe(true);
    expect(error.message.length).toBeLessThanOrEqual(200);
  });

  it('survives JSON that is no object', () => {
    expect(errorOf(500, 'null')).toMatchObject({ status: 500, code: '' });
  });
});

describe('requestJson', () => {
  it('asks below the prefix, with the credentials of the application', async () => {
    const server = new FakeServer();
    server.answers.set('GET jupyter-serving/api', { json: { a: 1 } });
    const answer = await requestJson(server.settings, ['api']);
    expect(answer).toEqual({ a: 1 });
    const [request] = server.requests;
    expect(request.headers.get('Authorization')).toBe('token secret');
    expect(request.url).not.toContain('no_track_activity');
  });

  it('sends the XSRF token of the cookie', async () => {
    const server = new FakeServer();
    document.cookie = '_xsrf=abc';
    server.answers.set('POST jupyter-serving/api', {});
    await requestJson(server.settings, ['api'], { method: 'POST', body: {} });
    document.cookie = '_xsrf=; max-age=0';
    expect(server.requests[0].headers.get('X-XSRFToken')).toBe('abc');
  });

  it('marks what a timer asks, so that it keeps no server alive', async () => {
    const server = new FakeServer();
    server.answers.set('GET jupyter-serving/api', {});
    await requestJson(server.settings, ['api'], { background: true });
    expect(server.requests[0].url).toContain('?no_track_activity=1');
  });

  it('takes an empty body as an empty object', async () => {
    const server = new FakeServer();
    server.answers.set('DELETE jupyter-serving/api', { text: '' });
    const answer = await requestJson(server.settings, ['api'], {
      method: 'DELETE'
    });
    expect(answer).toEqual({});
  });

  it('tells a server that is not there', async () => {
    const server = new FakeServer();
    server.answers.set(
      'GET jupyter-serving/api',
      new TypeError('Failed to fetch')
    );
    const error = await failure(requestJson(server.settings, ['api']));
    expect(error).toMatchObject({ kind: 'network', status: 0 });
  });

  it('tells a page that came with status 200', async () => {
    const server = new FakeServer();
    server.answers.set('GET jupyter-serving/api', {
      text: '<html><body>Sign in</body></html>'
    });
    const error = await failure(requestJson(server.settings, ['api']));
    expect(error).toMatchObject({ kind: 'body', message: 'Sign in' });
  });

  it('gives up after the time limit', async () => {
    const server = new FakeServer();
    const settings = {
      ...server.settings,
      fetch: (input: RequestInfo | URL) =>
        new Promise<Response>((_, reject) => {
          const { signal } = input as Request;
          signal.addEventListener('abort', () => reject(signal.reason));
        })
    };
    const error = await failure(
      requestJson(settings, ['api'], { timeout: 0.01 })
    );
    expect(error.kind).toBe('timeout');
  });
});
