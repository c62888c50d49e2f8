// The page /console.
import './site.js';
