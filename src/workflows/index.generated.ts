// Made by `npm run generate` from the files of this folder. Don't edit.
export { targetLock } from './target-lock.ts';
