"""What `driftline demo` needs beside the engine: real data, and a publisher that does not outrun its readers."""
