-- How often a schedule's seat map was built in Redis. From the second time on, Redis may have lost what was under way.
CREATE TABLE seat_map (
    concert_schedule_id bigint  PRIMARY KEY CONSTRAINT seat_map_schedule_exists REFERENCES concert_schedule,
    built               integer NOT NULL CONSTRAINT seat_map_built_positive CHECK (built > 0)
);
