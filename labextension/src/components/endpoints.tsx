/**
 * The list of endpoints, and what is shown where there is none.
 */

import { ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import type { IDisposable } from '@lumino/disposable';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { EXAMPLE } from '../commands';
import { errorText, phaseLabel, timeLabel } from '../format';
import { CommandIDs } from '../tokens';
import type { IServingModel, ISnapshot } from '../tokens';
import { CommandButton, Note } from './controls';
import { Endpoint } from './endpoint';
import { useSignal, useSnapshot } from './hooks';

/** What to type in a terminal to see whether the server part is there. */
const CHECK = 'jupyter server extension list';

/** What to type in a terminal to enable it. */
const ENABLE = 'jupyter server extension enable jupyter_serving';

/** What the list is made of. */
export interface IEndpointsProps {
  model: IServingModel;
  commands: CommandRegistry;
  trans: TranslationBundle;
}

/** The list of endpoints; the model looks at the server while it is visible. */
export class EndpointsWidget extends ReactWidget {
  constructor(private readonly _props: IEndpointsProps) {
    super();
    this.addClass('jp-serving-Endpoints');
  }

  protected override render(): React.JSX.Element {
    return <Endpoints {...this._props} />;
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._watch();
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._watch();
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._watch();
  }

  protected override onBeforeDetach(msg: Message): void {
    this._watching?.dispose();
    this._watching = null;
    super.onBeforeDetach(msg);
  }

  private _watch(): void {
    if (!this.isVisible) {
      this._watching?.dispose();
      this._watching = null;
    } else if (this._watching === null) {
      this._watching = this._props.model.watch();
    }
  }

  private _watching: IDisposable | null = null;
}

/** The list of endpoints. */
export function Endpoints(props: IEndpointsProps): React.JSX.Element {
  const { model, trans } = props;
  const snapshot = useSnapshot(model);
  const stale = snapshot.connection === 'disconnected';
  return (
    <div className="jp-serving-Endpoints-root">
      <Announcer {...props} />
      {stale && <Disconnected {...props} snapshot={snapshot} />}
      {snapshot.connection === 'loading' && (
        <p className="jp-serving-Placeholder" role="status">
          {trans.__('Loading endpoints…')}
        </p>
      )}
      {snapshot.connection === 'unavailable' && <Unavailable {...props} />}
      {snapshot.connection === 'connected' &&
        snapshot.endpoints.length === 0 && <Empty {...props} />}
      {snapshot.connection !== 'unavailable' &&
        snapshot.endpoints.length > 0 && (
          <List {...props} snapshot={snapshot} stale={stale} />
        )}
    </div>
  );
}

interface IListProps extends IEndpointsProps {
  snapshot: ISnapshot;
  stale: boolean;
}

function List(props: IListProps): React.JSX.Element {
  const { snapshot, commands, trans, stale } = props;
  const list = React.useRef<HTMLUListElement>(null);
  const focused = React.useRef<HTMLElement | null>(null);
  React.useLayoutEffect(() => {
    // a deleted endpoint takes the focus with it: keep it in the list
    if (focused.current && !focused.current.isConnected) {
      focused.current = null;
      list.current?.focus();
    }
  }, [snapshot.endpoints]);
  return (
    <ul
      ref={list}
      tabIndex={-1}
      className={
        stale ? 'jp-serving-List jp-serving-mod-stale' : 'jp-serving-List'
      }
      aria-label={trans.__('Endpoints')}
      onFocus={event => {
        focused.current = event.target;
      }}
      onBlur={event => {
        if (event.target.isConnected) {
          focused.current = null;
        }
      }}
    >
      {snapshot.endpoints.map(endpoint => (
        <Endpoint
          key={endpoint.id ?? endpoint.name}
          endpoint={endpoint}
          pending={snapshot.pending.get(endpoint.name)}
          commands={commands}
          trans={trans}
        />
      ))}
    </ul>
  );
}

/** Tells screen readers which endpoints changed their state. */
function Announcer({ model, trans }: IEndpointsProps): React.JSX.Element {
  const [text, setText] = React.useState('');
  useSignal(model.transitioned, transitions => {
    const sentences = transitions.map(({ endpoint, to }) =>
      trans.__('%1: %2.', endpoint.name, phaseLabel(to, trans))
    );
    setText(sentences.join(' '));
  });
  return (
    <div className="jp-serving-Announcer" role="status" aria-live="polite">
      {text}
    </div>
  );
}

function Empty({ commands, trans }: IEndpointsProps): React.JSX.Element {
  return (
    <div className="jp-serving-Placeholder" data-state="empty">
      <h4>{trans.__('No endpoints yet')}</h4>
      <p>{trans.__('In a notebook run:')}</p>
      <pre className="jp-serving-Code" tabIndex={0}>
        {EXAMPLE}
      </pre>
      <CommandButton
        commands={commands}
        id={CommandIDs.copyExample}
        text={trans.__('Copy')}
      />
    </div>
  );
}

function Unavailable({ model, trans }: IEndpointsProps): React.JSX.Element {
  return (
    <div className="jp-serving-Placeholder" data-state="unavailable">
      <h4>{trans.__('The server part is not enabled')}</h4>
      <p>
        {trans.__(
          'This panel is installed, but the Jupyter server has no jupyter_serving extension. See whether it is listed and enabled:'
        )}
      </p>
      <pre className="jp-serving-Code" tabIndex={0}>
        {CHECK}
      </pre>
      <p>
        {trans.__(
          'If it is missing, install jupyter-serving in the environment that runs Jupyter. If it is disabled, run:'
        )}
      </p>
      <pre className="jp-serving-Code" tabIndex={0}>
        {ENABLE}
      </pre>
      <p>{trans.__('Then restart Jupyter.')}</p>
      <RetryButton model={model} trans={trans} />
    </div>
  );
}

function Disconnected(
  props: IEndpointsProps & { snapshot: ISnapshot }
): React.JSX.Element {
  const { model, trans, snapshot } = props;
  return (
    <Note tone="warning" role="status">
      <p>
        <strong>{trans.__('Not connected.')}</strong>{' '}
        {errorText(snapshot.error, trans)}
      </p>
      {snapshot.updated !== null && (
        <p>
          {trans.__('What you see is from %1.', timeLabel(snapshot.updated))}
        </p>
      )}
      <RetryButton model={model} trans={trans} />
    </Note>
  );
}

function RetryButton(
  props: Pick<IEndpointsProps, 'model' | 'trans'>
): React.JSX.Element {
  return (
    <button
      type="button"
      className="jp-serving-Button"
      data-action="retry"
      onClick={() => void props.model.refresh()}
    >
      {props.trans.__('Retry')}
    </button>
  );
}
