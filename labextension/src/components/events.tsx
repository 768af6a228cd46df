/**
 * What happened to an endpoint.
 */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { IEndpointEvent } from '../api';
import { timeLabel } from '../format';

interface IEventsProps {
  /** Oldest first; null as long as nothing was told. */
  events: ReadonlyArray<IEndpointEvent> | null;
  /** Whether it is said elsewhere why there are none. */
  silent: boolean;
  trans: TranslationBundle;
}

/** The history of an endpoint, newest first. */
export function Events(props: IEventsProps): React.JSX.Element {
  const { events, silent, trans } = props;
  if (events === null || events.length === 0) {
    return (
      <p className="jp-serving-Placeholder">
        {events !== null
          ? trans.__('Nothing has happened yet.')
          : silent
            ? ''
            : trans.__('Loading…')}
      </p>
    );
  }
  return (
    <div className="jp-serving-Events" tabIndex={0}>
      <table>
        <thead>
          <tr>
            <th scope="col" aria-sort="descending">
              {trans.__('Time')}
            </th>
            <th scope="col">{trans.__('Event')}</th>
            <th scope="col">{trans.__('Served entity')}</th>
            <th scope="col">{trans.__('Message')}</th>
          </tr>
        </thead>
        <tbody>
          {[...events].reverse().map(event => (
            <tr key={event.id}>
              <td>
                <time dateTime={new Date(event.timestamp).toISOString()}>
                  {timeLabel(event.timestamp)}
                </time>
              </td>
              <td>{event.type}</td>
              <td>{event.served_entity ?? ''}</td>
              <td>{event.message}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
