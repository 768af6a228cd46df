/**
 * Logs and history of one endpoint in the main area.
 */

import { MainAreaWidget, ReactWidget } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { HTMLSelect, refreshIcon } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { errorText, logText } from '../format';
import { servingIcon } from '../icons';
import { LOG_TABS } from '../logs';
import type { ILogSnapshot, LogTab, LogsModel } from '../logs';
import { isFailure, phaseOf } from '../phases';
import { Note, State } from './controls';
import { Events } from './events';
import { useSnapshot } from './hooks';

/** Distance (px) from the end up to which a log counts as scrolled to its end. */
const END_ZONE = 24;

interface ILogProps {
  model: LogsModel;
  trans: TranslationBundle;
}

class LogContent extends ReactWidget {
  constructor(private readonly _props: ILogProps) {
    super();
    this.addClass('jp-serving-Logs');
  }

  protected override render(): React.JSX.Element {
    return <Logs {...this._props} />;
  }

  protected override onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this._props.model.visible = this.isVisible;
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this._props.model.visible = true;
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this._props.model.visible = false;
  }

  override dispose(): void {
    this._props.model.dispose();
    super.dispose();
  }
}

/** The logs of one endpoint as a widget of the main area. It owns its model. */
export class LogWidget extends MainAreaWidget<ReactWidget> {
  constructor(props: ILogProps) {
    super({ content: new LogContent(props) });
    const { model, trans } = props;
    this.model = model;
    this.id = `jupyter-serving-logs-${model.name}`;
    this.title.label = trans.__('Logs: %1', model.name);
    this.title.caption = trans.__('Logs of endpoint %1', model.name);
    this.title.icon = servingIcon;
    this.title.closable = true;
    this.toolbar.hide();
  }

  /** What is shown. */
  readonly model: LogsModel;
}

function tabLabel(tab: LogTab, trans: TranslationBundle): string {
  switch (tab) {
    case 'service':
      return trans.__('Service log');
    case 'build':
      return trans.__('Build log');
    case 'events':
      return trans.__('Events');
  }
}

function Logs(props: ILogProps): React.JSX.Element {
  const { model, trans } = props;
  const snapshot = useSnapshot(model);
  const { endpoint, error, gone, tab } = snapshot;
  const id = React.useId();
  return (
    <>
      <div className="jp-serving-Logs-bar">
        <Tabs {...props} snapshot={snapshot} id={id} />
        <div className="jp-serving-Logs-tools">
          {endpoint && !gone && (
            <State phase={phaseOf(endpoint)} trans={trans} />
          )}
          <EntityChoice {...props} snapshot={snapshot} />
          <Tools {...props} snapshot={snapshot} />
        </div>
      </div>
      {gone && (
        <Note tone="info" role="status">
          {trans.__('The endpoint “%1” does not exist (any more).', model.name)}
        </Note>
      )}
      {!gone && error && (
        <Note tone="warning" role="status">
          {errorText(error, trans)}
        </Note>
      )}
      {!gone && <Reason snapshot={snapshot} />}
      <div
        role="tabpanel"
        id={`${id}-panel`}
        aria-labelledby={`${id}-${tab}`}
        className="jp-serving-Logs-panel"
      >
        {tab === 'events' ? (
          <Events
            events={snapshot.events}
            silent={gone || error !== null}
            trans={trans}
          />
        ) : (
          <Text {...props} snapshot={snapshot} key={tab} />
        )}
      </div>
    </>
  );
}

interface IPartProps extends ILogProps {
  snapshot: ILogSnapshot;
}

function Tabs(props: IPartProps & { id: string }): React.JSX.Element {
  const { model, trans, snapshot, id } = props;
  const move = (event: React.KeyboardEvent<HTMLElement>): void => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step === undefined) {
      return;
    }
    event.preventDefault();
    const at = LOG_TABS.indexOf(snapshot.tab) + step + LOG_TABS.length;
    const next = LOG_TABS[at % LOG_TABS.length];
    model.selectTab(next);
    document.getElementById(`${id}-${next}`)?.focus();
  };
  return (
    <div
      role="tablist"
      className="jp-serving-Tabs"
      aria-label={trans.__('Logs of endpoint %1', model.name)}
      onKeyDown={move}
    >
      {LOG_TABS.map(tab => (
        <button
          key={tab}
          type="button"
          role="tab"
          id={`${id}-${tab}`}
          data-tab={tab}
          aria-controls={`${id}-panel`}
          aria-selected={tab === snapshot.tab}
          tabIndex={tab === snapshot.tab ? 0 : -1}
          onClick={() => model.selectTab(tab)}
        >
          {tabLabel(tab, trans)}
        </button>
      ))}
    </div>
  );
}

function EntityChoice(props: IPartProps): React.JSX.Element | null {
  const { model, trans, snapshot } = props;
  if (snapshot.entities.length < 2 || snapshot.tab === 'events') {
    return null;
  }
  return (
    <HTMLSelect
      aria-label={trans.__('Served entity')}
      title={trans.__('Served entity')}
      value={snapshot.entity ?? ''}
      onChange={event => model.selectEntity(event.target.value)}
    >
      {snapshot.entities.map(({ name }) => (
        <option key={name} value={name}>
          {name}
        </option>
      ))}
    </HTMLSelect>
  );
}

function Tools({ model, trans, snapshot }: IPartProps): React.JSX.Element {
  return (
    <>
      <label className="jp-serving-Follow">
        <input
          type="checkbox"
          checked={snapshot.follow}
          onChange={event => model.setFollow(event.target.checked)}
        />
        {trans.__('Follow')}
      </label>
      <button
        type="button"
        className="jp-serving-Button"
        data-action="refresh"
        title={trans.__('Refresh')}
        aria-label={trans.__('Refresh')}
        onClick={() => model.refresh()}
      >
        <refreshIcon.react tag="span" className="jp-serving-Button-icon" />
      </button>
    </>
  );
}

/** Why the endpoint failed, in full: what its served entities say, else the endpoint. */
function Reason({
  snapshot
}: {
  snapshot: ILogSnapshot;
}): React.JSX.Element | null {
  const { endpoint, entities } = snapshot;
  if (!endpoint || !isFailure(phaseOf(endpoint))) {
    return null;
  }
  const reasons = entities
    .filter(({ state }) => state?.deployment === 'DEPLOYMENT_FAILED')
    .map(({ state }) => state?.deployment_state_message)
    .filter(Boolean);
  const text = [...new Set(reasons)].join('\n') || endpoint.live?.message;
  return text ? (
    <Note tone="failed">
      <div className="jp-serving-Logs-reason" tabIndex={0}>
        {text}
      </div>
    </Note>
  ) : null;
}

function Text({ trans, snapshot }: IPartProps): React.JSX.Element {
  const { text, follow, gone, error } = snapshot;
  const pre = React.useRef<HTMLPreElement>(null);
  const atEnd = React.useRef(true);
  React.useLayoutEffect(() => {
    const node = pre.current;
    if (node && follow && atEnd.current) {
      node.scrollTop = node.scrollHeight;
    }
  }, [text, follow]);
  if (text === null) {
    return (
      <p className="jp-serving-Placeholder">
        {gone || error ? '' : trans.__('Loading…')}
      </p>
    );
  }
  const shown = logText(text);
  if (shown.text === '') {
    return (
      <p className="jp-serving-Placeholder">
        {trans.__('Nothing has been logged yet.')}
      </p>
    );
  }
  return (
    <pre
      ref={pre}
      className="jp-serving-Logs-text"
      tabIndex={0}
      onScroll={({
        currentTarget: { scrollHeight, scrollTop, clientHeight }
      }) => {
        atEnd.current = scrollHeight - scrollTop - clientHeight < END_ZONE;
      }}
    >
      {shown.cut > 0 &&
        trans.__('(%1 older lines are left out)', shown.cut) + '\n'}
      {shown.text}
    </pre>
  );
}
