// The page /me.
import './site.js';
