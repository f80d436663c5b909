import { render } from 'preact';
import { App } from './app.js';
import { applyTheme } from './theme.js';

applyTheme();
const place = document.getElementById('console');
// What stands there is for as long as this script has not come.
place?.replaceChildren();
if (place !== null) render(<App />, place);
