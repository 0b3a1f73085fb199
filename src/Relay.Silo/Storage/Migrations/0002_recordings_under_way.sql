-- Recordings without an end are looked for every few seconds; they are few, sessions are many.
CREATE INDEX session_recording ON session (end_time) WHERE recording_state = 'recording';
