/** Engines of exhook@3 with a remote provider for a plugin, for tests: the engine, what it says of itself, and questions. */
import { createHookEngine, type EngineOptions, type HookEngine, type PluginOptions } from 'hookring'
import { exhook3 } from 'hookring/contracts'
import { onTestFinished } from 'vitest'
import { clientinfo, message, meta } from './exhook-events.js'
import { type Lab, type LabEngine, watch } from './lab.js'
import { recordingLogger } from './recording-logger.js'

type ExhookPoints = (typeof exhook3)['hookpoints']

export interface ExhookLab extends Omit<Lab, 'engine' | 'hooks'> {
  readonly engine: HookEngine<ExhookPoints>
  readonly hooks: HookEngine<ExhookPoints>['hooks']
}

export type ExhookLabOptions = Partial<Omit<EngineOptions<ExhookPoints>, 'contract' | 'logger' | 'plugins'>>

/** @param plugin its URL, and what else is to be said of it */
export async function openExhook(
  plugin: Partial<PluginOptions> & { from: string },
  options: ExhookLabOptions = {},
): Promise<ExhookLab> {
  const logger = recordingLogger()
  const engine = await createHookEngine({
    quarantine: false,
    spares: 0,
    timeoutMs: 5_000,
    ...options,
    contract: exhook3,
    plugins: [{ runtime: 'exhook', name: 'remote', ...plugin }],
    logger,
  })
  onTestFinished(() => engine.close())
  return { ...watch(engine as unknown as LabEngine, logger.lines), engine, hooks: engine.hooks }
}

export const authenticate = ({ hooks }: ExhookLab, clientid = 'c1') =>
  hooks.onClientAuthenticate({ clientinfo: clientinfo(3, clientid) as never, result: true, meta })

export const publish = ({ hooks }: ExhookLab, topic: string, from = 'c1') =>
  hooks.onMessagePublish({ message: message({ topic, from }) as never, meta, props: [], userProps: [] })

/** A promise, and what settles it. */
export function latch(): { readonly opened: Promise<void>; open(): void } {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { opened, open: () => open() }
}
