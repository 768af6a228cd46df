/**
 * Small parts: a button that runs a command, the state of an endpoint, a note with a way out.
 */

import type { TranslationBundle } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';
import type { ReadonlyPartialJSONObject } from '@lumino/coreutils';
import * as React from 'react';

import type { Phase } from '../api';
import { phaseHint, phaseLabel } from '../format';
import { toneIcons } from '../icons';
import { toneOf } from '../phases';

interface ICommandButtonProps {
  commands: CommandRegistry;
  id: string;
  args?: ReadonlyPartialJSONObject;
  /** Text beside the icon; without it the command's caption is the button's name. */
  text?: string;
}

/** A button that runs a command; nothing if there is no such command (its plugin is disabled). */
export function CommandButton(
  props: ICommandButtonProps
): React.JSX.Element | null {
  const { commands, id, args = {}, text } = props;
  if (!commands.hasCommand(id)) {
    return null;
  }
  const enabled = commands.isEnabled(id, args);
  const caption = commands.caption(id, args);
  return (
    <button
      type="button"
      className="jp-serving-Button"
      data-command={id}
      title={caption}
      aria-label={text ? undefined : caption}
      // not `disabled`: that would throw the keyboard's focus away while a verb is carried out
      aria-disabled={!enabled}
      onClick={() => {
        if (enabled) {
          void commands.execute(id, args);
        }
      }}
    >
      <LabIcon.resolveReact
        icon={commands.icon(id, args) as LabIcon | undefined}
        tag="span"
        className="jp-serving-Button-icon"
      />
      {text && <span>{text}</span>}
    </button>
  );
}

interface IStateProps {
  phase: Phase;
  /** What is being done to the endpoint by a person, if anything. */
  pending?: string;
  trans: TranslationBundle;
}

/** The state of an endpoint: icon and text. */
export function State(props: IStateProps): React.JSX.Element {
  const { phase, pending, trans } = props;
  const tone = pending ? 'busy' : toneOf(phase);
  const icon = toneIcons[tone];
  return (
    <span
      className="jp-serving-State"
      data-tone={tone}
      title={phaseHint(phase, trans)}
    >
      <icon.react tag="span" className="jp-serving-State-icon" />
      <span className="jp-serving-State-text">
        {pending ?? phaseLabel(phase, trans)}
      </span>
    </span>
  );
}

interface INoteProps {
  tone: 'info' | 'warning' | 'failed';
  /** `alert` interrupts a screen reader, `status` waits. */
  role?: 'alert' | 'status';
  children: React.ReactNode;
}

/** A note in a box: what is the matter, and what to do. */
export function Note(props: INoteProps): React.JSX.Element {
  return (
    <div className="jp-serving-Note" data-tone={props.tone} role={props.role}>
      {props.children}
    </div>
  );
}
