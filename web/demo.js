// The page /demo.
import './site.js';
