// The page of a concert.
import './site.js';
import './waiting.js';
