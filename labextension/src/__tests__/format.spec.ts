import { nullTranslator } from '@jupyterlab/translation';

import type { Phase } from '../api';
import {
  deletionLosses,
  durationLabel,
  entityLabel,
  errorText,
  logText,
  metricsOf,
  phaseHint,
  phaseLabel,
  shortNumber
} from '../format';
import { RequestError } from '../request';
import { endpoint } from './server';

const trans = nullTranslator.load('jupyter_serving');

describe('phaseLabel', () => {
  it.each<[Phase, string]>([
    ['CREATING', 'Creating'],
    ['READY', 'Ready'],
    ['SCALED_TO_ZERO', 'Scaled to zero'],
    ['STARTING', 'Starting'],
    ['UPDATING', 'Updating'],
    ['UPDATE_FAILED', 'Update failed'],
    ['FAILED', 'Failed'],
    ['STOPPED', 'Stopped'],
    ['STOPPING', 'Stopping'],
    ['DELETING', 'Deleting'],
    ['CHECKING', 'Checking'],
    ['UNKNOWN', 'Unknown']
  ])('names %s "%s" and explains it in a sentence', (phase, label) => {
    expect(phaseLabel(phase, trans)).toBe(label);
    expect(phaseHint(phase, trans)).toMatch(/^[A-Z].*\.$/);
  });
});

describe('numbers', () => {
  it.each([
    [0, '0'],
    [0.44, '0.4'],
    [9.96, '10'],
    [12.34, '12'],
    [999.2, '999'],
    [1834, '1.8K'],
    [2_500_000, '2.5M']
  ])('are short: %d as %s', (value, text) => {
    expect(shortNumber(value, 'en')).toBe(text);
  });

  it.each([
    [0.0254, '25 ms'],
    [0.21, '210 ms'],
    [1.94, '1.9 s'],
    [48.6, '49 s']
  ])('of seconds: %d as %s', (seconds, text) => {
    expect(durationLabel(seconds, trans)).toBe(text);
  });
});

describe('entityLabel', () => {
  it('tells model and version', () => {
    const entity = { name: 'a-1', entity_name: 'main.a', entity_version: '1' };
    expect(entityLabel(entity, trans)).toBe('main.a, version 1');
  });

  it('tells the entity where there is no registered model', () => {
    expect(entityLabel({ name: 'a-1' }, trans)).toBe('a-1');
  });
});

describe('metricsOf', () => {
  const values = (phase: string, live = {}): Record<string, string> =>
    Object.fromEntries(
      metricsOf(endpoint('a', phase, {}, live), trans).map(({ key, value }) => [
        key,
        value
      ])
    );

  it('tells replicas as ready of wanted, and traffic', () => {
    const live = {
      replicas: { ready: 1, starting: 2, draining: 0, wanted: 3 },
      requests_per_second: 12.3,
      in_flight: 4,
      queued: 5,
      last_cold_start_seconds: 0.2
    };
    expect(values('READY', live)).toEqual({
      replicas: '1/3',
      rate: '12',
      'in-flight': '4',
      queued: '5',
      'cold-start': '200 ms'
    });
  });

  it('leaves out what means nothing in the phase', () => {
    expect(values('STOPPED')).toEqual({});
    expect(values('FAILED')).toEqual({});
    expect(Object.keys(values('CREATING'))).toEqual(['replicas']);
    expect(
      values('READY', { last_cold_start_seconds: null })
    ).not.toHaveProperty('cold-start');
  });

  it('is empty for a server without live figures', () => {
    expect(metricsOf({ name: 'a', state: { ready: 'READY' } }, trans)).toEqual(
      []
    );
  });
});

describe('deletionLosses', () => {
  it('tells the traffic that would be lost', () => {
    const live = { requests_per_second: 9.1, in_flight: 2, queued: 1 };
    const text = deletionLosses(endpoint('a', 'READY', {}, live), trans).join();
    expect(text).toContain('9.1 requests per second');
    expect(text).toContain('3 waiting');
  });

  it('says nothing of traffic where there is none', () => {
    const text = deletionLosses(endpoint('a', 'READY'), trans).join();
    expect(text).not.toContain('requests per second');
    expect(text).toContain('cannot be undone');
    expect(text).toContain('registered models stay');
  });
});

describe('errorText', () => {
  it("gives the server's own line as it is", () => {
    const error = new RequestError('http', 'Wait 3 s.', 409, 'CONFLICT');
    expect(errorText(error, trans)).toBe('Wait 3 s.');
  });

  it.each<[RequestError, RegExp]>([
    [new RequestError('network', 'x'), /cannot be reached/],
    [new RequestError('timeout', 'x'), /in time/],
    [new RequestError('body', 'x', 200), /Reload/],
    [new RequestError('http', 'Forbidden', 403), /403.*reload/],
    [new RequestError('http', 'Bad gateway', 502), /502: Bad gateway/],
    [new RequestError('http', '', 500), /500\.$/]
  ])('says what to do: %s', (error, text) => {
    expect(errorText(error, trans)).toMatch(text);
  });
});

describe('logText', () => {
  it('drops escape sequences', () => {
    const text = '\u001b[31mred\u001b[0m \u001b]0;title\u0007plain\u001b[2K';
    expect(logText(text).text).toBe('red plain');
  });

  it('shows the last state of a line that was overwritten', () => {
    expect(logText('10 %\r50 %\r100 %\r\nnext\r\n').text).toBe('100 %\nnext');
  });

  it('keeps the last lines and counts the others', () => {
    const lines = Array.from({ length: 12 }, (_, i) => `line ${i}`);
    expect(logText(lines.join('\n'), 2)).toEqual({
      text: 'line 10\nline 11',
      cut: 10
    });
  });
});
