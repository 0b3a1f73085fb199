namespace Orleans.Runtime;

/// <summary>Base of what the grain host itself throws.</summary>
public class OrleansException : Exception
{
    /// <summary>An unexplained failure.</summary>
    public OrleansException()
        : base("The grain host failed.")
    {
    }

    /// <summary>A failure in words.</summary>
    public OrleansException(string message)
        : base(message)
    {
    }

    /// <summary>A failure with its cause.</summary>
    public OrleansException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>The call was not executed: no silo took it.</summary>
public class OrleansMessageRejectionException : OrleansException
{
    /// <inheritdoc/>
    public OrleansMessageRejectionException()
    {
    }

    /// <inheritdoc/>
    public OrleansMessageRejectionException(string message)
        : base(message)
    {
    }

    /// <inheritdoc/>
    public OrleansMessageRejectionException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>The silo that has the grain cannot be reached, or was lost while the call was under way: it may or may not have been executed.</summary>
public sealed class SiloUnavailableException : OrleansMessageRejectionException
{
    /// <inheritdoc/>
    public SiloUnavailableException()
        : base("The silo is unavailable.")
    {
    }

    /// <inheritdoc/>
    public SiloUnavailableException(string message)
        : base(message)
    {
    }

    /// <inheritdoc/>
    public SiloUnavailableException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}

/// <summary>A queue is full: the call was not executed. Trying again later may help.</summary>
public sealed class LimitExceededException : OrleansException
{
    /// <inheritdoc/>
    public LimitExceededException()
        : base("A limit is exceeded.")
    {
    }

    /// <inheritdoc/>
    public LimitExceededException(string message)
        : base(message)
    {
    }

    /// <inheritdoc/>
    public LimitExceededException(string message, Exception? innerException)
        : base(message, innerException)
    {
    }
}
