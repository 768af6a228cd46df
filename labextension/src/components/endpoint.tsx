/**
 * One endpoint in the list.
 */

import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import * as React from 'react';

import type { IEndpoint, IServedEntity } from '../api';
import { NAME_ATTRIBUTE } from '../choice';
import { entityLabel, metricsOf, pendingLabel } from '../format';
import { canStart, isFailure, phaseOf } from '../phases';
import { CommandIDs } from '../tokens';
import type { Verb } from '../tokens';
import { CommandButton, Note, State } from './controls';

interface IEndpointProps {
  endpoint: IEndpoint;
  pending: Verb | undefined;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** Name, state, models, numbers, message and verbs of one endpoint. */
export function Endpoint(props: IEndpointProps): React.JSX.Element {
  const { endpoint, pending, trans } = props;
  const phase = phaseOf(endpoint);
  return (
    <li
      className="jp-serving-Endpoint"
      data-phase={phase}
      aria-busy={pending !== undefined}
      {...{ [NAME_ATTRIBUTE]: endpoint.name }}
    >
      <div className="jp-serving-Endpoint-head">
        <span
          className="jp-serving-Endpoint-name"
          title={endpoint.description || endpoint.name}
        >
          {endpoint.name}
        </span>
        <State
          phase={phase}
          pending={pending && pendingLabel(pending, trans)}
          trans={trans}
        />
      </div>
      <Models entities={endpoint.config?.served_entities ?? []} trans={trans} />
      <Metrics endpoint={endpoint} trans={trans} />
      <Message {...props} />
      <Actions {...props} />
    </li>
  );
}

interface IModelsProps {
  entities: IServedEntity[];
  trans: TranslationBundle;
}

function Models({ entities, trans }: IModelsProps): React.JSX.Element | null {
  if (entities.length === 0) {
    return null;
  }
  return (
    <ul
      className="jp-serving-Endpoint-models"
      aria-label={trans.__('Served models')}
    >
      {entities.map(entity => (
        <li key={entity.name} title={entity.name}>
          {entityLabel(entity, trans)}
        </li>
      ))}
    </ul>
  );
}

interface IMetricsProps {
  endpoint: IEndpoint;
  trans: TranslationBundle;
}

function Metrics(props: IMetricsProps): React.JSX.Element | null {
  const metrics = metricsOf(props.endpoint, props.trans);
  if (metrics.length === 0) {
    return null;
  }
  return (
    <dl className="jp-serving-Metrics">
      {metrics.map(({ key, label, value, hint }) => (
        <div key={key} data-metric={key} title={hint}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Message(props: IEndpointProps): React.JSX.Element | null {
  const { endpoint, commands, trans } = props;
  const message = endpoint.live?.message;
  const phase = phaseOf(endpoint);
  if (!isFailure(phase)) {
    return message ? (
      <p className="jp-serving-Endpoint-message">{message}</p>
    ) : null;
  }
  return (
    <Note tone={phase === 'FAILED' ? 'failed' : 'warning'}>
      <p className="jp-serving-Endpoint-message" title={message ?? undefined}>
        {message || trans.__('The server gave no reason; the logs may tell.')}
      </p>
      <CommandButton
        commands={commands}
        id={CommandIDs.openLogs}
        args={{ name: endpoint.name }}
        text={trans.__('Show logs')}
      />
    </Note>
  );
}

function Actions(props: IEndpointProps): React.JSX.Element {
  const { endpoint, commands, trans } = props;
  const args = { name: endpoint.name };
  const toggle = canStart(phaseOf(endpoint))
    ? CommandIDs.start
    : CommandIDs.stop;
  return (
    <div
      className="jp-serving-Endpoint-actions"
      role="group"
      aria-label={trans.__('Actions for %1', endpoint.name)}
    >
      <CommandButton commands={commands} id={toggle} args={args} />
      <CommandButton commands={commands} id={CommandIDs.openLogs} args={args} />
      <CommandButton commands={commands} id={CommandIDs.copyUrl} args={args} />
      <CommandButton commands={commands} id={CommandIDs.remove} args={args} />
    </div>
  );
}
