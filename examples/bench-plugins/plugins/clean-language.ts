/** obscenity as a plugin: what it finds in a message is replaced by asterisks. */
import { definePlugin, replace } from 'hookring/plugin'
import {
  asteriskCensorStrategy,
  englishDataset,
  englishRecommendedTransformers,
  RegExpMatcher,
  TextCensor,
} from 'obscenity'
import { chat } from '../chat-contract.js'

export default definePlugin(chat, {
  name: 'clean-language',
  setup() {
    const matcher = new RegExpMatcher({ ...englishDataset.build(), ...englishRecommendedTransformers })
    const censor = new TextCensor().setStrategy(asteriskCensorStrategy())
    return {
      onMessage(event) {
        const { text } = event
        const found = matcher.getAllMatches(text)
        return found.length === 0 ? undefined : replace({ ...event.copy(), text: censor.applyTo(text, found) })
      },
    }
  },
})
