/**
 * Icons of our own. The panel's icon follows the theme (`jp-icon3`), those of the phases the colour of their text.
 */

import { LabIcon } from '@jupyterlab/ui-components';

import asleepSvg from '../style/icons/asleep.svg';
import busySvg from '../style/icons/busy.svg';
import failedSvg from '../style/icons/failed.svg';
import readySvg from '../style/icons/ready.svg';
import servingSvg from '../style/icons/serving.svg';
import stoppedSvg from '../style/icons/stopped.svg';
import warningSvg from '../style/icons/warning.svg';
import type { Tone } from './phases';

/** A dish cover: something is served. */
export const servingIcon = new LabIcon({
  name: 'jupyter-serving:serving',
  svgstr: servingSvg
});

/** The icon of each tone: the shapes differ, so that colour is not needed to tell them apart. */
export const toneIcons: Record<Tone, LabIcon> = {
  ready: new LabIcon({ name: 'jupyter-serving:ready', svgstr: readySvg }),
  asleep: new LabIcon({ name: 'jupyter-serving:asleep', svgstr: asleepSvg }),
  busy: new LabIcon({ name: 'jupyter-serving:busy', svgstr: busySvg }),
  warning: new LabIcon({ name: 'jupyter-serving:warning', svgstr: warningSvg }),
  failed: new LabIcon({ name: 'jupyter-serving:failed', svgstr: failedSvg }),
  stopped: new LabIcon({ name: 'jupyter-serving:stopped', svgstr: stoppedSvg })
};
