/**
 * Toasts: short in the corner, in full on demand.
 */

import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

/** JupyterLab cuts the text of a toast here (characters). */
const TOAST_LENGTH = 140;

/** How long (ms) a toast stays that only says that something was done. */
const BRIEF = 2500;

/** A dialog with a long text as it is, in monospace. */
async function showText(
  title: string,
  text: string,
  trans: TranslationBundle
): Promise<void> {
  const body = new Widget({ node: document.createElement('pre') });
  body.addClass('jp-serving-Code');
  body.node.textContent = text;
  await showDialog({
    title,
    body,
    buttons: [Dialog.okButton({ label: trans.__('Close') })]
  });
}

/**
 * A toast that stays until it is dismissed. A text that is too long for a toast is one click away.
 *
 * @param title what failed, in one sentence
 * @param reason why, and what to do
 */
export function toastFailure(
  title: string,
  reason: string,
  actions: Notification.IAction[],
  trans: TranslationBundle
): void {
  const message = reason ? `${title}\n${reason}` : title;
  const details: Notification.IAction = {
    label: trans.__('Details'),
    callback: event => {
      // the toast stays, so that its other actions can still be used
      event.preventDefault();
      void showText(title, reason, trans);
    }
  };
  Notification.error(message, {
    autoClose: false,
    actions: message.length > TOAST_LENGTH ? [details, ...actions] : actions
  });
}

/** A toast that says that something was done, and leaves nothing behind in the list of notifications. */
export function toastBriefly(message: string): void {
  const id = Notification.success(message, { autoClose: BRIEF });
  setTimeout(() => Notification.dismiss(id), BRIEF + 500);
}
