/** The plugin of case `exhook`: reads one field, and refuses a few. Runs in a lane. */
import { exhook3 } from 'hookring/contracts'
import { definePlugin, reject } from 'hookring/plugin'
import { isAdmitted } from '../exhook/admission.js'

export default definePlugin(exhook3, {
  name: 'admission',
  setup: () => ({
    onClientAuthenticate: ({ clientinfo }) => (isAdmitted(clientinfo.username) ? undefined : reject('not welcome')),
  }),
})
