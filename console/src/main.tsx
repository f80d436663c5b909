import { render } from 'preact';
import { App } from './app.js';
import { applyTheme } from './theme.js';

applyTheme();
const place = document.getElementById('console');
// The page's content was for the time before this script arrived.
place?.replaceChildren();
if (place !== null) render(<App />, place);
