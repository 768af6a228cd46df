/**
 * The verbs on endpoints as commands: every button, menu entry and palette entry runs one of these.
 */

import { Clipboard, Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import {
  copyIcon,
  deleteIcon,
  refreshIcon,
  runIcon,
  stopIcon
} from '@jupyterlab/ui-components';
import { Widget } from '@lumino/widgets';
import type {
  ReadonlyJSONObject,
  ReadonlyPartialJSONObject
} from '@lumino/coreutils';

import type { IEndpoint, Phase } from './api';
import { ENDPOINT_ARGS, chosenEndpoint, namedEndpoint } from './choice';
import type { ICommandContext } from './choice';
import { deletionLosses, errorText } from './format';
import { canDelete, canStart, canStop, isDeploying, phaseOf } from './phases';
import { toastBriefly, toastFailure } from './toasts';
import { CommandIDs } from './tokens';
import type { Verb } from './tokens';

/** What to type to get a first endpoint. */
export const EXAMPLE =
  '%load_ext jupyter_serving\n%serve deploy model --name my-endpoint';

const NO_ARGS: ReadonlyJSONObject = { type: 'object', properties: {} };

/** Whether a verb applies: always if no endpoint is named (the person will be asked). */
function applies(
  context: ICommandContext,
  args: ReadonlyPartialJSONObject,
  allowed: (phase: Phase) => boolean
): boolean {
  const { connection, pending } = context.model.snapshot;
  if (connection === 'unavailable' || connection === 'disconnected') {
    return false;
  }
  const endpoint = namedEndpoint(context, args);
  if (!endpoint) {
    return args.contextMenu !== true;
  }
  return !pending.has(endpoint.name) && allowed(phaseOf(endpoint));
}

/** Whether an entry is worth showing: in a context menu only the verbs that apply. */
function shows(
  context: ICommandContext,
  args: ReadonlyPartialJSONObject,
  allowed: (phase: Phase) => boolean
): boolean {
  const endpoint = namedEndpoint(context, args);
  return args.contextMenu !== true || !endpoint || allowed(phaseOf(endpoint));
}

async function perform(
  context: ICommandContext,
  verb: Verb,
  name: string,
  failure: string
): Promise<void> {
  const { app, model, trans } = context;
  try {
    await model.act(verb, name);
  } catch (error) {
    const showLogs = {
      label: trans.__('Show logs'),
      callback: () => void app.commands.execute(CommandIDs.openLogs, { name })
    };
    const hasLogs =
      app.commands.hasCommand(CommandIDs.openLogs) && model.find(name);
    toastFailure(
      failure,
      errorText(error, trans),
      hasLogs ? [showLogs] : [],
      trans
    );
  }
}

async function confirmDeletion(
  endpoint: IEndpoint,
  trans: TranslationBundle
): Promise<boolean> {
  const body = new Widget();
  for (const loss of deletionLosses(endpoint, trans)) {
    const paragraph = document.createElement('p');
    paragraph.textContent = loss;
    body.node.append(paragraph);
  }
  const result = await showDialog({
    title: trans.__('Delete endpoint “%1”?', endpoint.name),
    body,
    buttons: [
      Dialog.cancelButton({ label: trans.__('Cancel') }),
      Dialog.warnButton({
        label: trans.__('Delete'),
        ariaLabel: trans.__('Delete endpoint %1', endpoint.name)
      })
    ],
    defaultButton: 0
  });
  return result.button.accept;
}

function copy(text: string, told: string): void {
  Clipboard.copyToSystem(text);
  toastBriefly(told);
}

/** Label and caption: with a name for the buttons of an endpoint, short in its context menu, full in the palette. */
function texts(
  short: string,
  full: string,
  named: (name: string) => string
): {
  label: (args: ReadonlyPartialJSONObject) => string;
  caption: (args: ReadonlyPartialJSONObject) => string;
} {
  return {
    label: args => (args.contextMenu || args.name ? short : full),
    caption: args => (typeof args.name === 'string' ? named(args.name) : full)
  };
}

function addVerbs(context: ICommandContext): void {
  const { app, model, trans } = context;
  app.commands.addCommand(CommandIDs.start, {
    ...texts(trans.__('Start'), trans.__('Start Endpoint…'), name =>
      trans.__('Start endpoint %1', name)
    ),
    icon: runIcon,
    describedBy: { args: ENDPOINT_ARGS },
    isEnabled: args => applies(context, args, canStart),
    isVisible: args => shows(context, args, canStart),
    execute: async args => {
      const title = trans.__('Start Endpoint');
      const chosen = await chosenEndpoint(context, args, title, canStart);
      if (chosen) {
        const failure = trans.__('“%1” could not be started.', chosen.name);
        await perform(context, 'start', chosen.name, failure);
      }
    }
  });
  app.commands.addCommand(CommandIDs.stop, {
    ...texts(trans.__('Stop'), trans.__('Stop Endpoint…'), name => {
      const endpoint = model.find(name);
      return endpoint && isDeploying(phaseOf(endpoint))
        ? trans.__('Stop endpoint %1 (after its deployment has ended)', name)
        : trans.__('Stop endpoint %1', name);
    }),
    icon: stopIcon,
    describedBy: { args: ENDPOINT_ARGS },
    isEnabled: args => applies(context, args, canStop),
    isVisible: args => shows(context, args, canStop),
    execute: async args => {
      const title = trans.__('Stop Endpoint');
      const chosen = await chosenEndpoint(context, args, title, canStop);
      if (chosen) {
        const failure = trans.__('“%1” could not be stopped.', chosen.name);
        await perform(context, 'stop', chosen.name, failure);
      }
    }
  });
  app.commands.addCommand(CommandIDs.remove, {
    ...texts(trans.__('Delete…'), trans.__('Delete Endpoint…'), name =>
      trans.__('Delete endpoint %1', name)
    ),
    icon: deleteIcon,
    describedBy: { args: ENDPOINT_ARGS },
    isEnabled: args => applies(context, args, canDelete),
    execute: async args => {
      const title = trans.__('Delete Endpoint');
      const chosen = await chosenEndpoint(context, args, title, canDelete);
      if (chosen && (await confirmDeletion(chosen, trans))) {
        const failure = trans.__('“%1” could not be deleted.', chosen.name);
        await perform(context, 'delete', chosen.name, failure);
      }
    }
  });
}

function addCopies(context: ICommandContext): void {
  const { app, trans } = context;
  app.commands.addCommand(CommandIDs.copyUrl, {
    ...texts(
      trans.__('Copy Invocation URL'),
      trans.__('Copy Invocation URL of Endpoint…'),
      name => trans.__('Copy invocation URL of %1', name)
    ),
    icon: copyIcon,
    describedBy: { args: ENDPOINT_ARGS },
    isEnabled: args => {
      const endpoint = namedEndpoint(context, args);
      return !endpoint || Boolean(endpoint.invocations_url);
    },
    execute: async args => {
      const title = trans.__('Copy Invocation URL');
      const chosen = await chosenEndpoint(context, args, title);
      if (chosen?.invocations_url) {
        copy(
          chosen.invocations_url,
          trans.__('Invocation URL of “%1” copied', chosen.name)
        );
      }
    }
  });
  app.commands.addCommand(CommandIDs.copyExample, {
    label: trans.__('Copy Deployment Example'),
    caption: trans.__(
      'Copy the notebook lines that deploy a model to a new endpoint'
    ),
    icon: copyIcon,
    describedBy: { args: NO_ARGS },
    execute: () => copy(EXAMPLE, trans.__('Example copied'))
  });
}

/** Add all commands that act on endpoints. */
export function addCommands(context: ICommandContext): void {
  const { app, model, trans } = context;
  addVerbs(context);
  addCopies(context);
  app.commands.addCommand(CommandIDs.refresh, {
    label: trans.__('Refresh Endpoints'),
    caption: trans.__('Look at the endpoints now'),
    icon: refreshIcon,
    describedBy: { args: NO_ARGS },
    execute: () => model.refresh()
  });
}
