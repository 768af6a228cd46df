/**
 * Which endpoint a command is about: named by its arguments, clicked, or chosen by the person.
 */

import type { JupyterFrontEnd } from '@jupyterlab/application';
import { InputDialog, Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type {
  ReadonlyJSONObject,
  ReadonlyPartialJSONObject
} from '@lumino/coreutils';

import type { IEndpoint, Phase } from './api';
import { errorText } from './format';
import { phaseOf } from './phases';
import type { IServingModel } from './tokens';

/** The arguments of a command on one endpoint. Without a name the person is asked. */
export const ENDPOINT_ARGS: ReadonlyJSONObject = {
  type: 'object',
  properties: {
    name: { type: 'string', description: 'Name of the endpoint' },
    contextMenu: {
      type: 'boolean',
      description:
        'Whether to act on the endpoint whose context menu was opened last'
    }
  }
};

/** Attribute of the DOM node of an endpoint that holds its name. */
export const NAME_ATTRIBUTE = 'data-endpoint';

/** What the commands are made of. */
export interface ICommandContext {
  app: JupyterFrontEnd;
  model: IServingModel;
  trans: TranslationBundle;
}

/** The endpoint that the arguments name, by `name` or by the context menu. */
export function namedEndpoint(
  context: ICommandContext,
  args: ReadonlyPartialJSONObject
): IEndpoint | undefined {
  const { app, model } = context;
  if (typeof args.name === 'string') {
    return model.find(args.name) ?? { name: args.name };
  }
  if (args.contextMenu !== true) {
    return undefined;
  }
  const node = app.contextMenuHitTest(element =>
    element.hasAttribute(NAME_ATTRIBUTE)
  );
  const name = node?.getAttribute(NAME_ATTRIBUTE);
  return name ? model.find(name) : undefined;
}

/** The endpoint that the arguments name, or the one that the person chooses; null if there is none. */
export async function chosenEndpoint(
  context: ICommandContext,
  args: ReadonlyPartialJSONObject,
  title: string,
  allowed: (phase: Phase) => boolean = () => true
): Promise<IEndpoint | null> {
  const named = namedEndpoint(context, args);
  if (named) {
    return named;
  }
  const { model, trans } = context;
  await model.refresh();
  const { snapshot } = model;
  if (snapshot.error) {
    Notification.error(errorText(snapshot.error, trans));
    return null;
  }
  const candidates = snapshot.endpoints.filter(endpoint =>
    allowed(phaseOf(endpoint))
  );
  if (candidates.length === 0) {
    Notification.info(trans.__('There is no endpoint to choose.'), {
      autoClose: 4000
    });
    return null;
  }
  const choice = await InputDialog.getItem({
    title,
    label: trans.__('Endpoint'),
    items: candidates.map(endpoint => endpoint.name)
  });
  return choice.button.accept && choice.value
    ? (model.find(choice.value) ?? null)
    : null;
}
