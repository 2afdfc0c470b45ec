/**
 * The login-auditor plugin: one line for each failed login, `AUDIT: failed login for '<user>': <reason>`. Runs in a lane.
 * The login auditor of quicprochat's server hooks. Names come from whoever tries to log in: they are escaped and
 * cut, so that none can forge a line or drive a terminal.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { z } from 'zod/v4'
import { delivery } from '../contracts/delivery.js'
import type { LoginAuditorConfig, Takes } from '../contracts/plugin-configs.js'
import { definePlugin } from '../plugin/index.js'
import { escapeForLog, quoteForLog } from './log-text.js'

export type { LoginAuditorConfig }

export const loginAuditorConfig = z
  .strictObject({
    /**
     * File that lines are appended to, made when it is missing, readable by its owner only: people type passwords where
     * names belong. Without one, lines go to the host's logger as warnings. After moving the file away, reload the plugin.
     */
    file: z.string().min(1).optional(),
    /** Starts each line of the file with the time, ISO 8601 in UTC. The host's logger keeps its own time. */
    timestamps: z.boolean().default(true),
  })
  .prefault({})
true satisfies Takes<typeof loginAuditorConfig, LoginAuditorConfig>

export default definePlugin(delivery, {
  name: 'login-auditor',
  config: loginAuditorConfig,
  setup({ config, log }) {
    const fd = config.file === undefined ? null : openSync(config.file, 'a', 0o600)
    return {
      onAuth({ success, username, failureReason }) {
        if (success) return
        const line = `AUDIT: failed login for ${quoteForLog(username)}: ${escapeForLog(failureReason)}`
        if (fd === null) log.warn(line)
        // One write to a file in append mode: lines of several lanes do not mix, and none is lost with its lane.
        else writeSync(fd, `${config.timestamps ? `${new Date().toISOString()} ` : ''}${line}\n`)
      },
      destroy() {
        if (fd !== null) closeSync(fd)
      },
    }
  },
})
